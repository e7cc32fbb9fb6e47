"""Statistics: what the BatchNorms of a model that lost channels see now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgecls.system.extras import require
from edgecls.training.flat_graph import FlatGraph


def estimate_again(model: Any, batches: Iterable[np.ndarray]) -> None:
    """Let the BatchNorms of a flat tf_keras model take the means over these batches for their mean and variance, in place.

    A sum that lost channels has another mean and variance; with the old ones nothing behind it is as it was trained. A BatchNorm that is
    frozen stays as it is, and nothing is dropped by chance, so that the same batches give the same model.

    Args:
        batches: model inputs [n, *input_shape], float32.
    """
    norms = [layer for layer in model.layers if _goes_by_batch(layer)]
    momenta = [layer.momentum for layer in norms]
    graph = FlatGraph(model)
    for number, inputs in enumerate(batches if norms else ()):
        for layer in norms:
            layer.momentum = number / (number + 1)  # the mean of all batches so far
        _call(graph, inputs)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _goes_by_batch(layer: Any) -> bool:
    return "BatchNormalization" in type(layer).__name__ and layer.trainable


def _call(graph: FlatGraph, inputs: np.ndarray) -> None:
    """Compute a batch, only the BatchNorms as in training."""
    tf = require("tensorflow")
    values: dict[int, Any] = {id(graph.inputs[0]): tf.constant(inputs)}
    for node in graph.nodes:
        args, kwargs = node.called(values)
        results = node.layer(*args, **{**kwargs, "training": True} if _goes_by_batch(node.layer) else kwargs)
        values.update(zip((id(tensor) for tensor in node.outputs), tf.nest.flatten(results), strict=True))
