"""Flat tf_keras models in double precision: what a hundred layers make of rounding then stays far below what any wrong weight makes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.system.extras import require
from edgecls.training.flat_graph import FlatGraph


def in_double(model: Any) -> Any:
    """The same calls of layers with the same weights, computed in float64."""
    tf, tf_keras, graph = require("tensorflow"), require("tf_keras"), FlatGraph(model)
    source = graph.inputs[0]
    image = tf_keras.Input(source.shape[1:], dtype="float64")
    values: dict[int, Any] = {id(source): image}
    made: dict[int, Any] = {}
    for node in graph.nodes:
        key = id(node.layer)
        if key not in made:
            made[key] = type(node.layer).from_config({**node.layer.get_config(), "dtype": "float64"})
        args, kwargs = tf.nest.map_structure(_doubled, node.called(values))
        results = tf.nest.flatten(made[key](*args, **kwargs))
        values.update(zip((id(tensor) for tensor in node.outputs), results, strict=True))
        made[key].set_weights(node.layer.get_weights())
    return tf_keras.Model(image, values[id(graph.outputs[0])])


def _doubled(argument: Any) -> Any:
    """A constant of a call, or the type that it asks for, in double precision."""
    tf = require("tensorflow")
    if isinstance(argument, tf.DType | str):
        return tf.float64 if argument in (tf.float32, "float32") else argument
    is_constant = isinstance(argument, tf.Tensor | np.ndarray) and argument.dtype == tf.float32
    return tf.cast(argument, tf.float64) if is_constant else argument
