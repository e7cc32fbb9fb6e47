"""How sure a figure is: intervals and tests, all from published methods.

They are written out, and tested against scipy and statsmodels: measuring should not need 150 MB for two distributions.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from edgecls.measurement import Calibration, CalibrationBin, Interval

CONFIDENCE = 0.95
_BINS = 15  # as in Guo et al. 2017
_RESAMPLES = 1000
_BOOTSTRAP_SEED = 0


def wilson_interval(hits: float, images: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson score interval of a share of hits (Wilson 1927).

    A tie counts as part of a hit; for whole hits this is scipy's `binomtest(...).proportion_ci(method="wilson")`.

    Args:
        hits: 0..images.
    """
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    share, weight = hits / images, z * z / images
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / images + weight / (4 * images))
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), confidence=confidence)


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's paired test: is an image that only one of two artifacts has right as likely to be either's?

    Twice the smaller tail of a fair binomial distribution, counted in whole numbers.
    """
    images, ways, tail = lost + gained, 1, 0
    for chosen in range(min(lost, gained) + 1):
        tail += ways
        ways = ways * (images - chosen) // (chosen + 1)
    return min(1.0, 2 * tail / 2**images)


def median_interval(rounds: Sequence[np.ndarray], confidence: float = CONFIDENCE) -> Interval:
    """Interval of the median of all samples: moving-block percentile bootstrap (Künsch 1989), seeded.

    Neighbouring inferences share caches, clock and interrupts, so whole blocks of them are drawn again, n^(1/3) samples long, the
    usual rate; never across two rounds. For independent samples this is the plain bootstrap with a little less choice.

    Args:
        rounds: samples of each turn, float [n].
    """
    samples = np.concatenate(rounds)
    length = min(math.ceil(len(samples) ** (1 / 3)), *(len(turn) for turn in rounds))
    offsets = np.cumsum([0, *(len(turn) for turn in rounds)])
    starts = np.concatenate([offset + np.arange(len(turn) - length + 1) for offset, turn in zip(offsets, rounds, strict=False)])
    drawn = math.ceil(len(samples) / length)
    order = np.argsort(samples)
    random = np.random.default_rng(_BOOTSTRAP_SEED)
    medians = [
        samples[
            order[_weighted_middle(_multiplicity(starts[random.integers(0, len(starts), drawn)], length, len(samples))[order])]
        ]
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(medians, (0.5 - confidence / 2, 0.5 + confidence / 2))
    return Interval(low=float(low), high=float(high), confidence=confidence)


def ratio_interval(ours: Sequence[float], theirs: Sequence[float], confidence: float) -> tuple[float, Interval]:
    """Ratio of two latencies measured in turns: geometric mean of the rounds' ratios, with its paired t interval.

    Args:
        ours, theirs: median of each round, the same rounds in the same order; two at least.
    """
    logs = np.log(np.asarray(ours) / np.asarray(theirs))
    centre, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs))
    half = _t_bound(confidence, len(logs) - 1) * error
    return math.exp(centre), Interval(low=math.exp(centre - half), high=math.exp(centre + half), confidence=confidence)


def calibration_of(confidence: np.ndarray, hits: np.ndarray) -> Calibration:
    """Expected calibration error over bins of equal width (Guo et al. 2017); the last bin includes 1.

    Args:
        confidence: highest probability of each image, float [N], 0..1.
        hits: share of a hit of each image, float [N].
    """
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    images = np.bincount(bins, minlength=_BINS)
    counted = np.maximum(images, 1)
    mean_confidence = np.bincount(bins, confidence, _BINS) / counted
    accuracy = np.bincount(bins, hits, _BINS) / counted
    ece = float((np.abs(accuracy - mean_confidence) * images).sum() / max(images.sum(), 1))
    rows = zip(images.tolist(), mean_confidence.tolist(), accuracy.tolist(), strict=True)
    return Calibration(ece=ece, bins=[CalibrationBin(images=n, confidence=c, accuracy=a) for n, c, a in rows])


def _t_bound(confidence: float, freedom: int) -> float:
    """The bound that the size of Student's t with so many whole degrees of freedom stays below with this probability.

    By halving the angle atan(t / sqrt(freedom)) between 0 and a right angle; 60 times leave nothing of it that float64 tells apart.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _t_within(angle: float, freedom: int) -> float:
    """Probability that the size of Student's t is at most sqrt(freedom) * tan(angle): Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd, cosine = freedom % 2, math.cos(angle)
    term, total = cosine if odd else 1.0, 0.0
    for index in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (index - 1) / index
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share


def _multiplicity(starts: np.ndarray, length: int, count: int) -> np.ndarray:
    """How often each of `count` samples lies in the blocks that begin at `starts`."""
    steps = np.bincount(starts, minlength=count + 1) - np.bincount(starts + length, minlength=count + 1)
    return np.cumsum(steps)[:count]


def _weighted_middle(weights: np.ndarray) -> int:
    """Index of the lower median of values in ascending order that occur `weights` times."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, (sums[-1] + 1) // 2))
