"""Strategy: what to try next. Cheap ones first, then whatever promises the most for the time that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.records.trial import Candidate, Trial
from edgecls.search.choice import best_of
from edgecls.search.forecast import Forecast
from edgecls.search.space import Space, is_as_harsh

Strategy = Callable[[Space, Sequence[Trial], float], Candidate | None]
_LEAST_GAIN = 0.01  # of a logarithm: what is 1 % smaller is not worth a training
_LEAST_PROMISE = 0.0005


def propose(space: Space, trials: Sequence[Trial], seconds_left: float) -> Candidate | None:
    """The next candidate.

    First come those without training: int8, the other schemes, and where int8 loses too much its other estimators and mixed precision,
    which make files of the same size. Then each of the rest is held against the best so far: how likely it is within the limit, how much
    smaller it would be, how long it would take. Shares that failed are halved, those of what held raised halfway to them, and what was
    trained to the end trained twice as long; what is harsher than something that failed, and trained no longer, is left alone.

    Args:
        trials: all so far.
        seconds_left: what would take longer is not proposed.

    Returns:
        None where nothing is left that promises anything.
    """
    tried = dict.fromkeys(trial.candidate for trial in trials)
    points = space.goal.within_points
    plain_holds = any(
        trial.is_chosen(points) for trial in trials if trial.candidate.scheme == "int8" and not trial.candidate.recipe
    )
    for candidate in space.untrained if plain_holds else (*space.untrained, *space.finer):
        if candidate not in tried:
            return candidate
    measured = [trial for trial in trials if trial.status == "measured"]
    failed = [trial.candidate for trial in trials if trial.candidate.stages and _has_failed(trial, points)]
    trained = [trial.candidate for trial in measured if trial.candidate in failed]
    held = [trial.candidate for trial in measured if trial.is_chosen(points)]
    pool = dict.fromkeys([*space.trained, *space.halved(failed, held), *space.raised(held, failed), *space.prolonged(trained)])
    pool = [one for one in pool if one not in tried and not any(_is_harsher(one, other) for other in failed)]
    forecast = Forecast(trials, space.goal.minimize)
    pool = [one for one in pool if forecast.seconds(one) <= seconds_left]
    if not pool:
        return None
    best = best_of(trials, points)
    start = best if best is not None else next((trial for trial in measured if trial.value), None)
    if start is None or start.value is None:
        return pool[0]
    gain = np.log(start.value) - forecast.log_value(pool)
    # where nothing holds yet, whatever does is a gain
    gain = np.maximum(gain, _LEAST_GAIN) if best is None else np.where(gain < _LEAST_GAIN, 0.0, gain)
    promise = forecast.probability(pool, points) * gain
    rate = promise / np.array([forecast.seconds(one) for one in pool])
    chosen = int(np.argmax(rate))
    return pool[chosen] if promise.max() >= _LEAST_PROMISE else None


def _has_failed(trial: Trial, points: float) -> bool:
    if trial.status == "measured":
        return not trial.is_chosen(points) or (trial.judging_drop is not None and not trial.holds(points))
    return trial.status == "given up"


def _is_harsher(candidate: Candidate, failed: Candidate) -> bool:
    """Whether a candidate does all that failed, as much of it or more, in no more epochs; int8 that is trained for is milder."""
    qat = any(isinstance(stage, QuantizationAwareTraining) for stage in candidate.stages)
    failed_qat = any(isinstance(stage, QuantizationAwareTraining) for stage in failed.stages)
    if (qat and not failed_qat) or candidate.longer > failed.longer:
        return False
    done = {type(stage): stage for stage in candidate.stages}
    techniques = [stage for stage in failed.stages if not isinstance(stage, QuantizationAwareTraining)]
    return all(type(stage) in done and is_as_harsh(done[type(stage)], stage) for stage in techniques)
