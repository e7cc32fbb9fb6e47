"""Forecast: what a candidate would lose, how small it would be and how long it would take, from the trials so far.

Loss, and the logarithm of what is to be small, are sums of a term for each technique. How large a term is at a share is known
beforehand but for a factor, and the factors are learned by Bayesian linear regression: before the first trial they are those of the
models in `benchmarks/README.md`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from edgecls.records.recipe import UNSTRUCTURED, ChannelPruning, Clustering, Pruning, QuantizationAwareTraining, Reduction
from edgecls.records.trial import Candidate, Minimize, Trial

_DROP_NOISE = 0.5  # points by which two trials of alike recipes differ
_VALUE_NOISE = 0.05  # of a logarithm: 5 %
_INTERCEPT_SPREAD = 1.0
_FACTOR_SPREAD = 0.7
_TECHNIQUES = 5  # channels, zeros, zeros in blocks, clusters, int8 without training for it
_SECONDS_BEFORE = 60.0  # of a stage, before one was trained
_LEFT_BY_TWICE = 0.8  # of what a technique costs, when it is trained twice as long


class Forecast:
    """Learns from finished trials.

    Args:
        trials: those that were measured.
        minimize: what `Trial.value` is.
    """

    def __init__(self, trials: Sequence[Trial], minimize: Minimize) -> None:
        self._minimize: Minimize = minimize
        known = [trial for trial in trials if trial.candidate.scheme == "int8" and trial.value and trial.drop is not None]
        candidates = [trial.candidate for trial in known]
        drops = [trial.drop or 0.0 for trial in known]
        self._drop = _Regression(_drop_terms(candidates), np.array(drops), _DROP_NOISE, 0.0)
        values = np.log([trial.value or 1.0 for trial in known])
        self._value = _Regression(_value_terms(candidates, minimize), values, _VALUE_NOISE, float(values[0]) if known else 0.0)
        spent = [trial.seconds / (trial.trained * trial.candidate.longer) for trial in trials if trial.trained]
        self._stage_seconds = statistics.median(spent) if spent else _SECONDS_BEFORE
        self._finished = {trial.candidate.start(length) for trial in trials for length in range(1, _finished(trial) + 1)}

    def probability(self, candidates: Sequence[Candidate], points: float) -> np.ndarray:
        """That each loses at most so many percentage points, float64 [n]."""
        mean, spread = self._drop.predict(_drop_terms(candidates))
        return np.array([statistics.NormalDist(m, s).cdf(points) for m, s in zip(mean, spread, strict=True)])

    def log_value(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Logarithm of what is to be small, float64 [n]."""
        return self._value.predict(_value_terms(candidates, self._minimize))[0]

    def seconds(self, candidate: Candidate) -> float:
        """How long it would take: stages that an earlier trial has trained are kept."""
        stages = len(candidate.stages)
        kept = max((length for length in range(1, stages + 1) if candidate.start(length) in self._finished), default=0)
        return self._stage_seconds * candidate.longer * max(stages - kept, 0.5)


def _finished(trial: Trial) -> int:
    """How many stages of a trial were trained to the end."""
    return len(trial.candidate.stages) - (trial.status != "measured")


@dataclass(frozen=True)
class _Regression:
    """Linear regression with a normal prior: factors around 1, an intercept around `start`.

    Attributes:
        terms: [trials, techniques].
        found: [trials].
    """

    terms: np.ndarray
    found: np.ndarray
    noise: float
    start: float

    def predict(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of what would be found, noise included, each [n]."""
        before = np.array([self.start, *np.ones(_TECHNIQUES)])
        precision = np.diag([_INTERCEPT_SPREAD**-2, *np.full(_TECHNIQUES, _FACTOR_SPREAD**-2)])
        seen = _with_intercept(self.terms)
        after = np.linalg.inv(precision + seen.T @ seen / self.noise**2)
        mean = before + after @ seen.T @ (self.found - seen @ before) / self.noise**2
        asked = _with_intercept(terms)
        return asked @ mean, np.sqrt(np.einsum("ij,jk,ik->i", asked, after, asked) + self.noise**2)


def _with_intercept(terms: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(terms)), terms])


def _drop_terms(candidates: Sequence[Candidate]) -> np.ndarray:
    """Percentage points that each technique is expected to cost, float64 [n, techniques]."""
    left = np.array([_LEFT_BY_TWICE ** math.log2(candidate.longer) for candidate in candidates])
    terms = _terms(candidates, _drop_of, lambda qat: 0.0 if qat else 0.3)
    terms[:, :-1] *= left[:, None]  # int8 that nothing was trained for loses as much after longer training
    return terms


def _value_terms(candidates: Sequence[Candidate], minimize: Minimize) -> np.ndarray:
    """Logarithm of the share that each technique leaves, float64 [n, techniques]."""
    return _terms(candidates, lambda stage: _left_of(stage, minimize), lambda qat: 0.0)


def _terms(
    candidates: Sequence[Candidate], of_stage: Callable[[Reduction], float], of_int8: Callable[[bool], float]
) -> np.ndarray:
    rows = np.zeros((len(candidates), _TECHNIQUES))
    for row, candidate in zip(rows, candidates, strict=True):
        trained = False
        for stage in candidate.stages:
            if isinstance(stage, QuantizationAwareTraining):
                trained = True
            else:
                row[_column(stage)] = of_stage(stage)
        row[-1] = of_int8(trained)
    return rows


def _column(stage: Reduction) -> int:
    match stage:
        case ChannelPruning():
            return 0
        case Pruning():
            return 1 if stage.pattern == UNSTRUCTURED else 2
        case Clustering():
            return 3
        case _:
            assert_never(stage)


def _drop_of(stage: Reduction) -> float:
    """They rise slowly at first and without bound at the end."""
    match stage:
        case ChannelPruning():
            return 2 * stage.share**2 / (1 - stage.share)
        case Pruning():
            factor = 0.3 if stage.pattern == UNSTRUCTURED else 0.6
            return factor * stage.sparsity**2 / (1 - stage.sparsity)
        case Clustering():
            return 40 / stage.clusters**2
        case _:
            assert_never(stage)


def _left_of(stage: Reduction, minimize: Minimize) -> float:
    """Channels are gone; values that are zero or few still take their place, but deflate to less."""
    match stage:
        case ChannelPruning():
            return math.log(1 - 0.9 * stage.share)
        case Pruning():
            deflated = (0.6 if stage.pattern == UNSTRUCTURED else 0.85) * stage.sparsity
            return math.log(1 - deflated) if minimize == "download" else 0.0
        case Clustering():
            return math.log(min(1.0, (math.log2(stage.clusters) + 1) / 8)) if minimize == "download" else 0.0
        case _:
            assert_never(stage)
