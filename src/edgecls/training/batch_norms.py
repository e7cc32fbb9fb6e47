"""BatchNorms: which of a model's go by the batch while it trains, and how fast their mean and variance follow it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_FEWEST_STEPS = 4  # that the mean and variance of a BatchNorm go back, however few an epoch has: a batch alone tells too little


def goes_by_batch(layer: Any) -> bool:
    """Whether a layer is a BatchNorm that computes with the statistics of the batch while it trains: one that is not frozen."""
    return "BatchNormalization" in type(layer).__name__ and layer.trainable


@contextlib.contextmanager
def momenta(model: Any) -> Iterator[list[Any]]:
    """The BatchNorms of a tf_keras model that go by the batch, whose momenta are put back in the end."""
    norms = [part for part in model.submodules if goes_by_batch(part)]
    given = [layer.momentum for layer in norms]
    try:
        yield norms
    finally:
        for layer, momentum in zip(norms, given, strict=True):
            layer.momentum = momentum


@contextlib.contextmanager
def following(model: Any, steps: int) -> Iterator[None]:
    """Let the BatchNorms of a tf_keras model follow what it becomes within half an epoch of so many steps.

    With the momentum of 0.99 that Keras gives them they take some hundred steps. A few hundred images are over before: what was trained
    well then has the mean and variance of another model when it is asked.
    """
    with momenta(model) as norms:
        for layer in norms:
            layer.momentum = min(layer.momentum, 1 - 1 / max(steps / 2, _FEWEST_STEPS))
        yield
