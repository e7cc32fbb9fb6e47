"""Clustering: k-means on the weights of a kernel, so that few values stand for all."""

from __future__ import annotations

import numpy as np

_ITERATIONS = 300


def cluster(weights: np.ndarray, clusters: int, *, keep_zeros: bool) -> np.ndarray:
    """The cluster of every weight, int32 of the kernel's shape, numbered from 0 in the order of their values.

    Args:
        clusters: how many at most; fewer where the kernel has fewer different weights.
        keep_zeros: exact zeros are a cluster of their own, which counts among them.
    """
    values = weights.astype(np.float64).reshape(-1)
    others = values[values != 0] if keep_zeros else values
    has_zeros = len(others) < len(values)
    if not len(others):
        return np.zeros(weights.shape, np.int32)
    ordered = np.sort(others)
    centroids = _least_error(ordered, max(1, clusters - has_zeros))
    found = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    if has_zeros:
        found = np.where(values == 0, len(centroids), found)
    return np.unique(found, return_inverse=True)[1].reshape(weights.shape).astype(np.int32)


def clusters_of(weights: np.ndarray) -> np.ndarray:
    """The cluster of every weight of a kernel that is clustered already, int32 of its shape."""
    return np.unique(weights, return_inverse=True)[1].reshape(weights.shape).astype(np.int32)


def _least_error(ordered: np.ndarray, clusters: int) -> np.ndarray:
    """Centroids of ascending values by Lloyd's algorithm.

    It starts where the best quantizer of many levels has them: as dense as the cube root of the values' density (Panter and Dite, 1951).
    The gap between neighbours is the inverse of the density, and there are density × length of them, so that gap^(2/3) adds up to that.
    In one dimension a cluster is a stretch of the sorted values, and its mean a difference of running sums: a round costs
    clusters × log(weights).
    """
    distinct = np.unique(ordered)
    if len(distinct) <= clusters:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    spread = np.concatenate([[0.0], np.cumsum(np.diff(ordered) ** (2 / 3))])
    centroids = np.interp((np.arange(clusters) + 0.5) / clusters * spread[-1], spread, ordered)
    gain = -np.inf  # sum of n·mean² over the clusters: the larger, the smaller the squared error
    for _ in range(_ITERATIONS):
        edges = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        borders = np.concatenate([[0], edges, [len(ordered)]])
        counts, totals = np.diff(borders), np.diff(sums[borders])
        centroids = np.where(counts > 0, totals / np.maximum(counts, 1), centroids)
        before, gain = gain, float(np.sum(counts * np.where(counts > 0, centroids, 0) ** 2))
        if gain <= before * (1 + 1e-12):
            break
    return centroids
