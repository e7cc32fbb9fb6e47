"""Removal: a flat tf_keras model without some of its channels, and the same model with them set to zero, which proves it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.compression.channels.trace import Channels
from edgecls.system.extras import require
from edgecls.training.flat_graph import FlatGraph


def without(model: Any, channels: Channels, stays: np.ndarray) -> Any:
    """A tf_keras model of its own that has only the channels that stay, in the given one's names and order.

    Args:
        channels: of the model.
        stays: bool [channels.count].
    """
    settings: dict[int, dict[str, Any]] = {}
    for item in channels.settings:
        settings.setdefault(id(item.layer), {})[item.name] = item.value(int(stays[item.units].sum()))
    weights = _weights(model)
    for cut in channels.cuts:
        values = weights[id(cut.layer)]
        place = _place(cut.layer, cut.weight)
        values[place] = np.compress(stays[cut.units], values[place], axis=cut.axis)
    return _copy(model, settings, weights)


def zeroed(model: Any, channels: Channels, stays: np.ndarray) -> Any:
    """A tf_keras model of its own in which every weight of the channels that do not stay is zero."""
    weights = _weights(model)
    for cut in channels.cuts:
        values = weights[id(cut.layer)]
        place = _place(cut.layer, cut.weight)
        after = (1,) * (-cut.axis - 1)
        values[place] = values[place] * stays[cut.units].reshape(-1, *after)
    return _copy(model, {}, weights)


def _weights(model: Any) -> dict[int, list[np.ndarray]]:
    return {id(layer): layer.get_weights() for layer in model.layers}


def _place(layer: Any, weight: str) -> int:
    variable = getattr(layer, weight)
    return next(index for index, value in enumerate(layer.weights) if value is variable)


def _copy(model: Any, settings: dict[int, dict[str, Any]], weights: dict[int, list[np.ndarray]]) -> Any:
    """The same calls of layers with other settings and weights."""
    tf_keras, graph = require("tf_keras"), FlatGraph(model)
    source = graph.inputs[0]
    image = tf_keras.Input(source.shape[1:], name=model.input_names[0], dtype=source.dtype)
    values: dict[int, Any] = {id(source): image}
    made: dict[int, Any] = {}
    for node in graph.nodes:
        key = id(node.layer)
        if key not in made:
            made[key] = type(node.layer).from_config({**node.layer.get_config(), **settings.get(key, {})})
        args, kwargs = node.called(values)
        results = require("tensorflow").nest.flatten(made[key](*args, **kwargs))
        values.update(zip((id(tensor) for tensor in node.outputs), results, strict=True))
        made[key].set_weights(weights[key])
    return tf_keras.Model(image, values[id(graph.outputs[0])], name=model.name)
