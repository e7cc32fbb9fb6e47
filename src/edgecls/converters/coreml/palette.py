"""Palettes: the few values that stand best for many weights.

K-means in one dimension has an exact answer: clusters are intervals of the sorted weights, so the best borders come from dynamic
programming, cluster by cluster. The best last border moves only upwards with the end of the interval, which makes it O(k n log n)
(Grønlund et al. 2017, arXiv 1701.07204); here all intervals of one depth of that search are solved by one set of array operations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Borders are chosen among so many places for each table entry. With 16 a cluster's border is off by 1/32 of its width on average;
# near the best borders the error grows with the square of that.
PLACES_PER_ENTRY = 16


class Palette(NamedTuple):
    """Weights as indices into a table.

    Attributes:
        table: [2**bits], ascending, of the weights' dtype.
        indices: of the weights' shape, uint8.
    """

    table: np.ndarray
    indices: np.ndarray


def palettize(weights: np.ndarray, bits: int) -> Palette:
    """The table of 2**bits values with the least squared error, exact where the weights have no more values than that.

    Zero is one of the table's values where a weight is exactly zero: it was pruned, however few were, and stays zero.
    """
    values, places, counts = np.unique(weights, return_inverse=True, return_counts=True)
    size = 2**bits
    if len(values) <= size:
        centres, clusters = values, np.arange(len(values))
    else:
        wide = values.astype(np.float64)
        centres = _centres(wide, counts.astype(np.float64), size)
        if np.any(values == 0):
            centres[np.abs(centres).argmin()] = 0.0
        centres = np.unique(centres.astype(weights.dtype))
        middles = (centres[1:].astype(np.float64) + centres[:-1]) / 2
        clusters = np.searchsorted(middles, wide)
    table = np.full(size, centres[-1], weights.dtype)
    table[: len(centres)] = centres
    return Palette(table, clusters[places.reshape(weights.shape)].astype(np.uint8))


def _centres(values: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """Means [size] of the best intervals of ascending distinct values that occur so often; there are more values than that."""
    places = _places(values, counts, size * PLACES_PER_ENTRY)
    sums = _Sums(*(np.concatenate([[0.0], np.cumsum(counts * values**power)])[places] for power in range(3)))
    borders = _best_borders(sums, size)
    return np.diff(sums.moment[borders]) / np.diff(sums.weight[borders])


def _places(values: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """Where borders may be: before which of the values, and at the end. All of them or, of more than `most`, a choice as dense as
    the centres will be, which is as the cube root of the values' own density (Panter and Dite 1951)."""
    if len(values) <= most:
        return np.arange(len(values) + 1)
    share = np.cumsum(np.cbrt(counts * np.gradient(values) ** 2))
    inner = np.searchsorted(share, np.arange(1, most) / most * share[-1])
    return np.unique(np.concatenate([[0], inner, [len(values)]]))


class _Sums(NamedTuple):
    """Of all values before each place: how many, their sum and the sum of their squares."""

    weight: np.ndarray
    moment: np.ndarray
    energy: np.ndarray

    def error(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Sum of squared distances to the mean of what lies between two places."""
        weight, moment = self.weight[end] - self.weight[begin], self.moment[end] - self.moment[begin]
        return self.energy[end] - self.energy[begin] - moment**2 / weight


def _best_borders(sums: _Sums, size: int) -> np.ndarray:
    """Places [size + 1] between which the sum of errors is least."""
    last = len(sums.weight) - 1
    ends = np.arange(1, last + 1)
    least = np.concatenate([[0.0], sums.error(np.zeros_like(ends), ends)])  # with one interval, by its end
    begins = []
    for intervals in range(2, size + 1):
        least, begin = _one_more(sums, least, intervals)
        begins.append(begin)
    borders = [last]
    for begin in reversed(begins):
        borders.append(int(begin[borders[-1]]))
    return np.array([0, *reversed(borders)])


def _one_more(sums: _Sums, least: np.ndarray, intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """The least error with so many intervals, and where the last of them begins, by its end.

    Args:
        least: the same with one interval less.
    """
    last = len(least) - 1
    result, begins = np.full(last + 1, np.inf), np.zeros(last + 1, np.int64)
    # open ranges of ends, and between which places (both included) their last interval may begin
    low, high = np.array([intervals]), np.array([last + 1])
    first, final = np.array([intervals - 1]), np.array([last - 1])
    while low.size:
        end = (low + high) // 2
        lengths = np.minimum(final, end - 1) - first + 1
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        tried = np.arange(lengths.sum()) + np.repeat(first - starts, lengths)
        error = least[tried] + sums.error(tried, np.repeat(end, lengths))
        result[end] = np.minimum.reduceat(error, starts)
        found = np.flatnonzero(error == np.repeat(result[end], lengths))
        owner, position = np.unique(np.searchsorted(starts, found, side="right"), return_index=True)
        begin = tried[found[position]]
        begins[end[owner - 1]] = begin
        below, above = low < end, end + 1 < high
        low, high, first, final = (
            np.concatenate([low[below], end[above] + 1]),
            np.concatenate([end[below], high[above]]),
            np.concatenate([first[below], begin[above]]),
            np.concatenate([begin[below], final[above]]),
        )
    return result, begins
