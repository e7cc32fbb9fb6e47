"""Models that exist only as formulas: what each candidate would lose, how small it would be and how long it would take."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.records.recipe import ChannelPruning, Clustering, Pruning, QuantizationAwareTraining, Stage, Training
from edgecls.records.trial import Candidate, Goal, Minimize, Trial
from edgecls.search import Space, Strategy, best_of, propose

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SHARES = {0.3: 8, 0.5: 8, 0.65: 8, 0.8: 4}


@dataclass(frozen=True)
class Landscape:
    """A model.

    Attributes:
        harm: how much more than usual each technique costs.
        recovery: share of that which is left after training twice as long.
        noise: of what is lost, in points, from seed to seed.
    """

    harm: tuple[float, float, float]
    int8: float = 0.2
    noise: float = 0.1
    seed: int = 0
    recovery: float = 0.8

    def drop(self, candidate: Candidate) -> float:
        """Percentage points lost."""
        qat = any(isinstance(stage, QuantizationAwareTraining) for stage in candidate.stages)
        lost = sum(self._lost(stage) for stage in candidate.stages) * self.recovery ** math.log2(candidate.longer)
        lost += 0.0 if qat else self.int8
        dice = np.random.default_rng([self.seed, *candidate.name.encode()])
        return lost + float(dice.normal(0, self.noise))

    def value(self, candidate: Candidate) -> float:
        """Bytes of the download."""
        factor = {"float16": 2.0, "dynamic": 1.05}.get(candidate.scheme, 1.0)
        return 100_000 * factor * math.prod(self._left(stage) for stage in candidate.stages)

    def _lost(self, stage: Stage) -> float:
        channels, zeros, clusters = self.harm
        if isinstance(stage, ChannelPruning):
            return channels * (math.exp(3 * stage.share) - 1) / 4
        if isinstance(stage, Pruning):
            return zeros * (1.5 if stage.pattern != "unstructured" else 1.0) * (math.exp(4 * stage.sparsity) - 1) / 30
        return clusters * 20 / stage.clusters**1.6 if isinstance(stage, Clustering) else 0.0

    def _left(self, stage: Stage) -> float:
        if isinstance(stage, ChannelPruning):
            return 1 - 0.7 * stage.share
        if isinstance(stage, Pruning):
            return 1 - (0.5 if stage.pattern == "unstructured" else 0.8) * stage.sparsity
        return (math.log2(stage.clusters) + 0.7) / 8 if isinstance(stage, Clustering) else 1.0


def space(minimize: Minimize = "download", points: float = 0.5, *, trainable: bool = True) -> Space:
    """What can be tried of a model in one format."""
    goal = Goal(within_points=points, minimize=minimize, targets=("tflite",))
    return Space(goal, ("int8", "float16", "dynamic"), Training() if trainable else None, SHARES)


def trial(candidate: Candidate, drop: float | None, value: float | None, judging: float | None = None, **facts) -> Trial:
    """A trial that was measured, unless `facts` say something else."""
    known = {"status": "measured", "created": NOW, "fingerprint": "", "seconds": 30.0, "trained": len(candidate.stages), **facts}
    return Trial(candidate=candidate, choosing_drop=drop, judging_drop=judging, value=value, **known)


def search(landscape: Landscape, seconds: float, strategy: Strategy = propose, stage_seconds: float = 30.0) -> list[Trial]:
    """All trials of a search on a landscape, where training a stage takes so long and all else a third of that."""
    asked, trials, left = _SPACE, [], seconds
    while left > 0 and (candidate := strategy(asked, trials, left)) is not None:
        stages = _new_stages(candidate, trials)
        spent = stage_seconds * (stages * candidate.longer + 1 / 3)
        left -= spent
        drop = landscape.drop(candidate)
        trials.append(trial(candidate, drop, landscape.value(candidate), drop, seconds=spent, trained=stages))
    return trials


def found(trials: Sequence[Trial], points: float = 0.5) -> float:
    """Bytes of the best that was found within the limit."""
    best = best_of(trials, points)
    return best.value if best and best.value else math.inf


_SPACE = space()  # its candidates are made once


def _new_stages(candidate: Candidate, trials: Sequence[Trial]) -> int:
    known = {other.candidate.start(length) for other in trials for length in range(1, len(other.candidate.stages) + 1)}
    stages = len(candidate.stages)
    return stages - max((length for length in range(1, stages + 1) if candidate.start(length) in known), default=0)
