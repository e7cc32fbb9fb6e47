"""Ranges: what values each tensor takes on the calibration images, and which part of them int8 should cover."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from edgecls.records.artifact import Estimator

Effort = Literal["normal", "high"]

BINS = 2048
PERCENTILE = 99.99  # of the values are inside the range
MSE_CANDIDATES = 64
SAMPLES = 2048  # values of each tensor and image whose distribution is looked at; the extremes are over all


class Range(NamedTuple):
    """Lowest and highest value that int8 codes cover."""

    low: float
    high: float


class ValueHistogram:
    """Values of one tensor, seen in one pass with constant memory.

    The extremes are exact and over all values. The counts are over a subsample, in BINS bins symmetric around zero; when a value lies
    outside, the covered span doubles and neighbouring bins are merged.
    """

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.span = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, low: float, high: float, sample: np.ndarray) -> None:
        """Take in the extremes of all values of a batch and a flat subsample of them."""
        self._cover(low, high)
        self._count(sample.astype(np.float64))  # the bins of a span that is itself near the smallest float32 would have no width

    def joined(self, other: ValueHistogram) -> ValueHistogram:
        """The values of both; those of the narrower span count as in the middle of their bins."""
        wider, narrower = (self, other) if self.span >= other.span else (other, self)
        result = copy.deepcopy(wider)
        result._cover(narrower.low, narrower.high)
        result._count((narrower.edges[:-1] + narrower.edges[1:]) / 2, narrower.counts)
        return result

    def _cover(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        reach = max(abs(self.low), abs(self.high))
        if not self.span:
            self.span = reach
        while reach > self.span:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : -BINS // 4] = merged
            self.span *= 2

    def _count(self, values: np.ndarray, times: np.ndarray | None = None) -> None:
        if self.span:
            self.counts += np.histogram(values, BINS, (-self.span, self.span), weights=times)[0]
        else:  # nothing but zeros so far: they stay in their bin however the span grows
            self.counts[BINS // 2] += values.size if times is None else times.sum()

    @property
    def edges(self) -> np.ndarray:
        """Borders of the bins [BINS + 1]."""
        return np.linspace(-self.span, self.span, BINS + 1)


@functools.lru_cache(maxsize=256)
def sample_places(elements: int) -> np.ndarray:
    """Places of SAMPLES values among so many of a flat tensor, ascending, the same each time; all where there are no more.

    One value is drawn at random from each of SAMPLES equal stretches. Every n-th value would be of one channel alone, or of one column,
    wherever n and their number have a divisor in common.
    """
    if elements <= SAMPLES:
        places = np.arange(elements)
    else:
        stretches = np.arange(SAMPLES) + np.random.default_rng(0).random(SAMPLES)
        places = (stretches * (elements / SAMPLES)).astype(np.int64)
    places.flags.writeable = False  # whoever asks for as many gets this array
    return places


def minmax(histogram: ValueHistogram) -> Range:
    """All values."""
    return Range(histogram.low, histogram.high)


def middle(histogram: ValueHistogram, share: float) -> Range:
    """The range of the middle `share` (0..1) of the values, to the width of a bin."""
    total = histogram.counts.sum()
    if not total:
        return minmax(histogram)
    cumulated = np.cumsum(histogram.counts) / total
    outside = (1 - share) / 2
    low = histogram.edges[np.searchsorted(cumulated, outside)]
    high = histogram.edges[min(np.searchsorted(cumulated, 1 - outside) + 1, BINS)]
    return Range(max(float(low), histogram.low), min(float(high), histogram.high))


def percentile(histogram: ValueHistogram) -> Range:
    """The middle PERCENTILE percent of the values."""
    return middle(histogram, PERCENTILE / 100)


def mse(histogram: ValueHistogram) -> Range:
    """The range of least mean squared error of int8 rounding and clipping.

    Ranges tried: the full one with each end pulled towards zero, both by the same share, and each alone. The error of a value inside is
    step²/12 (rounding, uniform), of one outside the square of what is cut off.
    """
    low, high = histogram.low, histogram.high
    if not histogram.counts.any() or low >= high:
        return minmax(histogram)
    centers = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    used = np.flatnonzero(histogram.counts)
    centers, weights = centers[used], histogram.counts[used] / histogram.counts.sum()
    shares = np.linspace(0.2, 1.0, MSE_CANDIDATES)
    zero = np.zeros_like(shares)
    lows = np.concatenate([low * shares, np.full_like(shares, low), low * shares])
    highs = np.concatenate([high * shares, high * shares, np.full_like(shares, high)])
    lows, highs = np.minimum(lows, np.tile(zero, 3)), np.maximum(highs, np.tile(zero, 3))  # int8 codes must contain zero
    step = (highs - lows) / 255
    cut = np.maximum(lows[:, None] - centers, 0) + np.maximum(centers - highs[:, None], 0)
    error = np.where(cut > 0, cut**2, (step**2 / 12)[:, None]) @ weights
    best = int(np.argmin(error))
    return Range(float(lows[best]), float(highs[best]))


ESTIMATE: dict[Estimator, Callable[[ValueHistogram], Range]] = {"minmax": minmax, "percentile": percentile, "mse": mse}


def estimate_ranges(histograms: Mapping[str, ValueHistogram], estimator: Estimator) -> dict[str, Range]:
    """Turn the histogram of every tensor into its int8 range."""
    return {name: ESTIMATE[estimator](histogram) for name, histogram in histograms.items()}
