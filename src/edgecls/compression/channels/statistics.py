"""Statistics: what the BatchNorms of a model that lost channels see now."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from edgecls.system.extras import require
from edgecls.training.batch_norms import goes_by_batch, momenta
from edgecls.training.flat_graph import FlatGraph, Node


def estimate_again(model: Any, batches: Iterable[np.ndarray]) -> None:
    """Let the BatchNorms of a flat tf_keras model take the means over these batches for their mean and variance, in place.

    A sum that lost channels has another mean and variance; with the old ones nothing behind it is as it was trained. A BatchNorm that is
    frozen stays as it is, and nothing is dropped by chance, so that the same batches give the same model.

    Args:
        batches: model inputs [n, *input_shape], float32.
    """
    with momenta(model) as norms:
        graph = FlatGraph(model)
        for number, inputs in enumerate(batches if norms else ()):
            for layer in norms:
                layer.momentum = number / (number + 1)  # the mean of all batches so far
            _call(graph, inputs)


@contextlib.contextmanager
def still_statistics(model: Any) -> Iterator[None]:
    """Let BatchNorms that compute as in training keep their mean and variance meanwhile."""
    with momenta(model) as norms:
        for layer in norms:
            layer.momentum = 1.0
        yield


def mode_of(node: Node, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keywords of a call, a BatchNorm as in training and everything else as at inference."""
    takes_mode = "training" in inspect.signature(node.layer.call).parameters
    return {**kwargs, "training": goes_by_batch(node.layer)} if takes_mode else kwargs


def _call(graph: FlatGraph, inputs: np.ndarray) -> None:
    """Compute a batch, only the BatchNorms as in training."""
    tf = require("tensorflow")
    values: dict[int, Any] = {id(graph.inputs[0]): tf.constant(inputs)}
    for node in graph.nodes:
        args, kwargs = node.called(values)
        results = node.layer(*args, **mode_of(node, kwargs))
        values.update(zip((id(tensor) for tensor in node.outputs), tf.nest.flatten(results), strict=True))
