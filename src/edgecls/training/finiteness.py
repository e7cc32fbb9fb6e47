"""Finiteness: where a model under training first holds or makes a number that is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.system.extras import require
from edgecls.training.flat_graph import FlatGraph


def first_not_finite(model: Any, inputs: np.ndarray, *, training: bool) -> str:
    """What is first not finite in a flat tf_keras model, in the order of its calls, in words; empty where all is finite.

    Args:
        inputs: model inputs [n, *input_shape], float32.
        training: whether the mode is that of training, which changes the statistics of its BatchNorms.
    """
    graph = FlatGraph(model)
    for node in graph.nodes:
        for weight in node.layer.weights:
            if not np.isfinite(weight.numpy()).all():
                return f"the variable {weight.name.partition(':')[0]} of the layer {node.layer.name}"
    probe = require("tf_keras").Model(model.inputs, [node.outputs[0] for node in graph.nodes])
    for node, values in zip(graph.nodes, require("tensorflow").nest.flatten(probe(inputs, training=training)), strict=True):
        if values.dtype.is_floating and not np.isfinite(values.numpy()).all():
            return f"what the layer {node.layer.name} computes"
    return ""
