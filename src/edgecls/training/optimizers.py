"""Optimizers of Keras 3, and how their learning rate falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgecls.records.training import TrainingPlan
from edgecls.system.extras import require

_LAST = 0.01  # of the first rate, where an exponential schedule ends
_PLATEAU_FACTOR = 0.2
_NO_DECAY = ["bias", "gamma", "beta"]


def make_optimizer(plan: TrainingPlan, rate: float, steps: int) -> Any:
    """An optimizer for a phase of so many steps. Weight decay of AdamW leaves biases and BatchNorm alone."""
    keras = require("keras")
    schedules = keras.optimizers.schedules
    learning_rate: Any = rate
    if plan.schedule == "cosine":
        learning_rate = schedules.CosineDecay(rate, max(1, steps))
    elif plan.schedule == "exponential":
        learning_rate = schedules.ExponentialDecay(rate, max(1, steps), _LAST)
    if plan.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    if plan.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate)
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=plan.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def plateau_rate(rate: float, losses: Sequence[float], patience: int) -> float:
    """The rate after epochs of these held-out losses: a fifth each time that `patience` of them went by without a lower one."""
    best, since = float("inf"), 0
    for loss in losses:
        best, since = (loss, 0) if loss < best else (best, since + 1)
        if since >= patience:
            rate, since = rate * _PLATEAU_FACTOR, 0
    return rate
