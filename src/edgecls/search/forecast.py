"""Forecast: what a candidate would lose, how small it would be and how long it would take, from the trials so far.

Loss, and the logarithm of what is to be small, are sums of a term for each technique. How large a term is at a share is known
beforehand but for a factor, and the factors are learned by Bayesian linear regression: before the first trial they are those of the
models in `benchmarks/README.md`. What a model loses as it was given, beside a control that was trained on, tells nothing of those that
are trained too: it is a term of its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from edgecls.records.measurement import Measurement
from edgecls.records.recipe import UNSTRUCTURED, ChannelPruning, Clustering, Pruning, QuantizationAwareTraining, Reduction
from edgecls.records.trial import Candidate, Minimize, Trial

_DROP_NOISE = 0.5  # points by which two trials of alike recipes differ
# of what a trial lost: beyond a few points the terms do not add up, and a collapse tells only that it was too much
_HARSH_NOISE = 0.3
_VALUE_NOISE = 0.05  # of a logarithm: 5 %
_COLLAPSE = 5.0  # points that a trial loses more than any that is worth a thought
_INTERCEPT_SPREAD = 1.0
_FACTOR_SPREAD = 0.7
_TECHNIQUES = 5  # channels, zeros, zeros in blocks, clusters, int8 without training for it
_INT8, _UNTRAINED = 4, 5  # their columns
_LEAST_SPREAD = 0.1
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
        known = [trial for trial in trials if trial.value and trial.drop is not None]
        drops = [trial.drop or 0.0 for trial in known]
        behind = min((trial.drop or 0.0 for trial in known if trial.candidate.recipe is None), default=0.0)
        terms, noise = _drop_terms([trial.candidate for trial in known]), np.array([_noise_of(trial) for trial in known])
        prior = _Prior(0.0, max(behind, _LEAST_SPREAD), _factor_spreads(terms[:, :_TECHNIQUES], np.array(drops)))
        self._drop = _Regression(terms, np.array(drops), noise, prior)
        alike = [trial for trial in known if trial.candidate.scheme == "int8"]
        values = np.log([trial.value or 1.0 for trial in alike])
        prior = _Prior(float(values[0]) if alike else 0.0)
        noise = np.full(len(alike), _VALUE_NOISE)
        self._value = _Regression(_value_terms([trial.candidate for trial in alike], minimize), values, noise, prior)
        spent = [trial.seconds / (trial.trained * trial.candidate.longer) for trial in trials if trial.trained]
        self._stage_seconds = statistics.median(spent) if spent else _SECONDS_BEFORE
        self._finished = {trial.candidate.start(length) for trial in trials for length in range(1, _finished(trial) + 1)}

    def probability(self, candidates: Sequence[Candidate], points: float) -> np.ndarray:
        """That each loses at most so many percentage points, float64 [n]."""
        mean, spread = self._drop.predict(_drop_terms(candidates))
        spread = np.hypot(spread, _DROP_NOISE)
        return np.array([statistics.NormalDist(m, s).cdf(points) for m, s in zip(mean, spread, strict=True)])

    def log_value(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Logarithm of what is to be small, float64 [n]."""
        return self._value.predict(_value_terms(candidates, self._minimize))[0]

    def seconds(self, candidate: Candidate) -> float:
        """How long it would take: stages that an earlier trial has trained are kept."""
        stages = len(candidate.stages)
        kept = max((length for length in range(1, stages + 1) if candidate.start(length) in self._finished), default=0)
        return self._stage_seconds * candidate.longer * max(stages - kept, 0.5)


def _noise_of(trial: Trial) -> float:
    """Points by which what a trial lost may miss what its recipe would lose on all images there are.

    Of n images of which the share d changes sides, the share that is lost has a standard deviation of about sqrt(d / n); one image does at
    least.
    """
    lost = max(trial.drop or 0.0, 0.0)
    images = sum(max(map(_images_of, half), default=0) for half in (trial.choosing, trial.judging))
    counted = 100 * math.sqrt(max(lost / 100, 1 / images) / images) if images else 0.0
    return math.hypot(_DROP_NOISE, _HARSH_NOISE * lost, counted)


def _images_of(measurement: Measurement) -> int:
    accuracy = measurement.accuracy or measurement.multilabel
    return accuracy.images if accuracy else 0


def _factor_spreads(terms: np.ndarray, drops: np.ndarray) -> np.ndarray:
    """How far from 1 the factor of each technique may be, [techniques].

    As far as a trial asks that collapsed: its techniques are to blame then, in proportion to what each was expected to cost, and not what
    all trials share.

    Args:
        terms: [trials, techniques].
        drops: percentage points, [trials].
    """
    asked = np.maximum(drops - _COLLAPSE, 0.0) / np.maximum(terms.sum(axis=1), _DROP_NOISE)
    return np.max([np.full(_TECHNIQUES, _FACTOR_SPREAD), *np.where(terms > 0, asked[:, None], 0.0)], axis=0)


def _finished(trial: Trial) -> int:
    """How many stages of a trial were trained to the end."""
    return len(trial.candidate.stages) - (trial.status != "measured")


@dataclass(frozen=True)
class _Prior:
    """What is known beforehand: factors of techniques are around 1.

    Attributes:
        intercept: of the regression.
        untrained_spread: of the term of those that nothing was trained for, which is around 0.
        factor_spreads: of each technique, [techniques].
    """

    intercept: float
    untrained_spread: float = _LEAST_SPREAD
    factor_spreads: np.ndarray = field(default_factory=lambda: np.full(_TECHNIQUES, _FACTOR_SPREAD))

    @property
    def mean(self) -> np.ndarray:
        return np.array([self.intercept, *np.ones(_TECHNIQUES), 0.0])

    @property
    def precision(self) -> np.ndarray:
        spreads = [_INTERCEPT_SPREAD, *self.factor_spreads, self.untrained_spread]
        return np.diag(np.array(spreads) ** -2.0)


@dataclass(frozen=True)
class _Regression:
    """Linear regression with a normal prior.

    Attributes:
        terms: [trials, techniques + 1].
        found: [trials].
        noise: standard deviation of each, [trials].
    """

    terms: np.ndarray
    found: np.ndarray
    noise: np.ndarray
    prior: _Prior

    def predict(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of what would be found without noise, each [n]."""
        before, seen = self.prior.mean, _with_intercept(self.terms)
        weighed = seen.T / self.noise**2
        after = np.linalg.inv(self.prior.precision + weighed @ seen)
        mean = before + after @ weighed @ (self.found - seen @ before)
        asked = _with_intercept(terms)
        return asked @ mean, np.sqrt(np.einsum("ij,jk,ik->i", asked, after, asked))


def _with_intercept(terms: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(terms)), terms])


def _drop_terms(candidates: Sequence[Candidate]) -> np.ndarray:
    """Percentage points that each technique is expected to cost, and 1 where nothing is trained, float64 [n, techniques + 1]."""
    left = np.array([_LEFT_BY_TWICE ** math.log2(candidate.longer) for candidate in candidates])
    terms = _terms(candidates, _drop_of)
    terms[:, :_INT8] *= left[:, None]
    terms[:, _INT8] = [0.3 * (one.scheme == "int8" and not _is_trained_for_int8(one)) for one in candidates]
    terms[:, _UNTRAINED] = [one.recipe is None for one in candidates]
    return terms


def _value_terms(candidates: Sequence[Candidate], minimize: Minimize) -> np.ndarray:
    """Logarithm of the share that each technique leaves, float64 [n, techniques + 1]."""
    return _terms(candidates, lambda stage: _left_of(stage, minimize))


def _terms(candidates: Sequence[Candidate], of_stage: Callable[[Reduction], float]) -> np.ndarray:
    rows = np.zeros((len(candidates), _TECHNIQUES + 1))
    for row, candidate in zip(rows, candidates, strict=True):
        for stage in candidate.stages:
            if not isinstance(stage, QuantizationAwareTraining):
                row[_column(stage)] = of_stage(stage)
    return rows


def _is_trained_for_int8(candidate: Candidate) -> bool:
    return any(isinstance(stage, QuantizationAwareTraining) for stage in candidate.stages)


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
