"""Space: every candidate that can be tried, without training and with it, each a recipe that could be written by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, assert_never

from edgecls.records.artifact import ESTIMATORS, Scheme
from edgecls.records.recipe import (
    STAGE_FIELDS,
    UNSTRUCTURED,
    ChannelPruning,
    Clustering,
    Pruning,
    QuantizationAwareTraining,
    Recipe,
    Stage,
    Training,
    variant_name,
)
from edgecls.records.trial import Candidate, Goal

CHANNEL_SHARES = (0.3, 0.5, 0.65, 0.8)
_SPARSITIES = (0.5, 0.7, 0.85, 0.93)
_CLUSTERS = (32, 16, 8, 4)
_PATTERNS = (UNSTRUCTURED, "8x1")  # zeros in runs of eight deflate to less, and cost more
_LEAST_STEP = 0.04  # between two shares that are worth a training
_LEAST_RATIO = 1.3  # likewise between two numbers of clusters: a third of a bit


@dataclass(frozen=True)
class Space:
    """What can be tried for a goal.

    Attributes:
        schemes: those that every target has and that need no training, `int8` among them.
        training: how each stage is fine-tuned; None for a model that cannot be trained.
        multiples: share of the multiply-accumulates that can go with channels -> multiple of channels with which it can.
        longest: how many times the epochs of `training` what lost too much may be trained.
    """

    goal: Goal
    schemes: Sequence[Scheme]
    training: Training | None
    multiples: Mapping[float, int] = field(default_factory=dict)
    longest: int = 4

    @cached_property
    def untrained(self) -> list[Candidate]:
        """Without training: plain int8, with which all else is compared, and the other schemes."""
        return [Candidate(), *(Candidate(scheme=scheme) for scheme in self.schemes if scheme != "int8")]

    @cached_property
    def finer(self) -> list[Candidate]:
        """Int8 that may lose less: every estimator, and the fewest layers in float that hold it to the limit."""
        mixed = Candidate(mixed_precision=f"drop<={self.goal.within_points:g}")
        return [*(Candidate(estimator=estimator) for estimator in ESTIMATORS), mixed]

    @cached_property
    def trained(self) -> list[Candidate]:
        """Techniques that serve the goal, at rising shares, and their combinations, each with and without int8 training."""
        if self.training is None:
            return []
        channels = [None, *(ChannelPruning(share=share, multiple=multiple) for share, multiple in self.multiples.items())]
        pruning, clustering = [None], [None]
        if self.goal.minimize == "download":  # a file on disk is as large, and as fast, whatever its weights are
            pruning += [Pruning(sparsity=share, pattern=pattern) for share in _SPARSITIES for pattern in _PATTERNS]
            clustering += [Clustering(clusters=clusters) for clusters in _CLUSTERS]
        qat = [None, QuantizationAwareTraining()]
        parts = itertools.product(channels, pruning, clustering, qat)
        combinations = [tuple(part for part in combination if part is not None) for combination in parts]
        return [self.candidate(stages) for stages in sorted(combinations, key=len) if stages]

    def candidate(self, stages: tuple[Stage, ...], longer: int = 1) -> Candidate:
        """The candidate that trains these stages, so many times as long as was asked, and converts what they made to int8."""
        assert self.training is not None
        named: dict[str, Any] = {STAGE_FIELDS[type(stage)]: stage for stage in stages}
        training = self.training.model_copy(update={"epochs": longer * self.training.epochs})
        recipe = Recipe(**named, training=training, variants=(variant_name(stages),))
        return Candidate(recipe=recipe, longer=longer)

    def prolonged(self, failed: Iterable[Candidate]) -> Iterator[Candidate]:
        """Candidates that lost too much, trained twice as long, with and without int8 training behind."""
        for candidate in failed:
            if (longer := 2 * candidate.longer) <= self.longest:
                yield self.candidate(candidate.stages, longer)
                if not isinstance(candidate.stages[-1], QuantizationAwareTraining):
                    yield self.candidate((*candidate.stages, QuantizationAwareTraining()), longer)

    def halved(self, failed: Iterable[Candidate], held: Sequence[Candidate]) -> Iterator[Candidate]:
        """Of candidates that lost too much those with one share halfway to the largest that held of that technique."""
        stages = [stage for candidate in held for stage in candidate.stages]
        for candidate in failed:
            for index, stage in enumerate(candidate.stages):
                if (milder := _halfway(stage, stages)) is not None:
                    yield self._with(candidate, index, milder)

    def raised(self, held: Iterable[Candidate], failed: Sequence[Candidate]) -> Iterator[Candidate]:
        """Of candidates that held those with one share halfway to the least larger one with which a candidate lost too much."""
        stages = dict.fromkeys(stage for candidate in failed for stage in candidate.stages)
        for candidate in held:
            for index, stage in enumerate(candidate.stages):
                harsher = [other for other in stages if is_as_harsh(other, stage) and not is_as_harsh(stage, other)]
                mildest = next((one for one in harsher if all(is_as_harsh(other, one) for other in harsher)), None)
                if mildest is not None and (between := _halfway(mildest, [stage])) is not None:
                    yield self._with(candidate, index, between)

    def _with(self, candidate: Candidate, index: int, stage: Stage) -> Candidate:
        return self.candidate((*candidate.stages[:index], stage, *candidate.stages[index + 1 :]), candidate.longer)


def is_as_harsh(stage: Stage, other: Stage) -> bool:
    """Whether two stages are of one technique, and the first leaves no more than the other."""
    match other:
        case ChannelPruning():
            return isinstance(stage, ChannelPruning) and stage.share >= other.share
        case Pruning():
            return isinstance(stage, Pruning) and stage.sparsity >= other.sparsity and stage.pattern == other.pattern
        case Clustering():
            return isinstance(stage, Clustering) and stage.clusters <= other.clusters
        case QuantizationAwareTraining():
            return False  # it has no share
        case _:
            assert_never(other)


def _halfway(stage: Stage, held: Sequence[Stage]) -> Stage | None:
    """The stage with a share between its own and the largest smaller one of those that held; None where there is nothing between."""
    alike = [other for other in held if _same_kind(stage, other)]
    match stage:
        case ChannelPruning():
            share = _middle(stage.share, [other.share for other in alike if isinstance(other, ChannelPruning)])
            return stage.model_copy(update={"share": share}) if share else None
        case Pruning():
            share = _middle(stage.sparsity, [other.sparsity for other in alike if isinstance(other, Pruning)])
            return stage.model_copy(update={"sparsity": share}) if share else None
        case Clustering():
            more = [other.clusters for other in alike if isinstance(other, Clustering) and other.clusters > stage.clusters]
            most = min(more, default=4 * stage.clusters)
            clusters = round(math.sqrt(stage.clusters * most))
            return Clustering(clusters=clusters) if most >= _LEAST_RATIO**2 * stage.clusters else None
        case QuantizationAwareTraining():
            return None  # it has no share
        case _:
            assert_never(stage)


def _middle(share: float, held: Sequence[float]) -> float | None:
    below = max((other for other in held if other < share), default=0.0)
    return round((share + below) / 2, 2) if share - below >= 2 * _LEAST_STEP else None


def _same_kind(stage: Stage, other: Stage) -> bool:
    if isinstance(stage, Pruning) and isinstance(other, Pruning):
        return stage.pattern == other.pattern
    return type(stage) is type(other)
