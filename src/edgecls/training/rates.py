"""Which learning rate suits: a range test that raises it step by step, and where its curve falls steepest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edgecls.records.training import RatePoint, TrainingPlan
from edgecls.training.checkpoint import assign
from edgecls.training.fitting import freeze
from edgecls.training.networks import Network
from edgecls.training.objectives import Objective
from edgecls.training.optimizers import make_optimizer
from edgecls.training.streams import Stream

_LEAST, _MOST = 1e-6, 1.0
_STEPS = 100
_SMOOTHED = 0.9  # share of the mean so far in the smoothed loss
_WORSE = 4.0  # times the lowest smoothed loss: it diverges, and the test is over


def range_test(
    network: Network, plan: TrainingPlan, objective: Objective, trained: Stream, on_step: Callable[[int, int], None]
) -> list[RatePoint]:
    """Train for a while with a rate that rises from 1e-6 to 1 by the same factor every step; the smoothed loss at each rate.

    A base is frozen, as in the epochs that the rate is for. The network's weights are put back as they were.
    L. N. Smith, arXiv 1506.01186; smoothed as S. Gugger does it.
    """
    freeze(network.base, len(network.base))
    model, before = network.model, [np.asarray(value) for value in network.model.variables]
    optimizer = make_optimizer(plan.model_copy(update={"schedule": "constant"}), _LEAST, 1)
    model.compile(optimizer, objective.loss(), jit_compile="auto")
    points: list[RatePoint] = []
    mean = 0.0
    for step, batch in enumerate(_batches(trained)):
        rate = _LEAST * (_MOST / _LEAST) ** (step / (_STEPS - 1))
        optimizer.learning_rate.assign(rate)
        model.reset_metrics()  # else the loss would be the mean of all steps
        loss = float(model.train_on_batch(*batch[:2], sample_weight=batch[2] if len(batch) > 2 else None))
        on_step(step + 1, _STEPS)
        if not math.isfinite(loss):
            break
        mean = _SMOOTHED * mean + (1 - _SMOOTHED) * loss
        points.append(RatePoint(learning_rate=rate, loss=mean / (1 - _SMOOTHED ** (step + 1))))
        if points[-1].loss > _WORSE * min(point.loss for point in points):
            break
    assign(model.variables, before)
    return points


def steepest(points: list[RatePoint]) -> float:
    """The rate at which the smoothed loss falls fastest over the logarithm of the rate, before its lowest place."""
    losses = np.array([point.loss for point in points])
    end = max(2, int(losses.argmin()) + 1)
    slopes = np.gradient(losses[:end]) if end > 2 else np.diff(losses[:3])
    return points[int(slopes.argmin())].learning_rate


def _batches(trained: Stream) -> Any:
    """So many batches as the test has steps, from as many epochs as that takes."""
    count = 0
    for epoch in range(-(-_STEPS // trained.steps)):
        for batch in trained.epoch(epoch):
            yield batch
            count += 1
            if count == _STEPS:
                return
