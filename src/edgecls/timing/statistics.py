"""How sure a latency is: intervals of medians and ratios over turns, from published methods, written out and tested against scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecls.records.interval import Interval

CONFIDENCE = 0.95
_RESAMPLES = 1000
_BOOTSTRAP_SEED = 0


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
