"""Which images a limit keeps: the same ones every time, each group in its share."""

from __future__ import annotations

import numpy as np


def choose(total: int, groups: np.ndarray | None, limit: int | None, seed: int) -> np.ndarray:
    """Ascending indices of at most `limit` of `total` images.

    The choice is nested: what a limit of 100 keeps, a limit of 200 keeps too. With `groups` [total] each group keeps its share to
    within one image, so that a limit never loses a class while there is room for all.
    """
    if limit is None or limit >= total:
        return np.arange(total)
    generator = np.random.default_rng(seed)
    if groups is None:
        return np.sort(generator.permutation(total)[:limit])
    position = np.empty(total)  # of each image within its group, spread over 0..1: groups take turns by their size
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        position[generator.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.lexsort((groups, position))[:limit])
