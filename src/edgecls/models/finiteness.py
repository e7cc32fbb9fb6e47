"""Finiteness: whether the weights of a loaded model are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.errors import UnsupportedModelError
from edgecls.models.description import keras_parts
from edgecls.system.extras import require

_NAMED = 3


def require_numbers(graph: Any, model: Any) -> None:
    """Refuse a model that computes with weights that are NaN.

    TensorFlow's ReLU makes 0 of NaN on a processor and LiteRT's does not, so that scores alone do not tell. Infinite values are
    let through: masks of attention are such. So are single numbers, which are options of operations more often than weights.

    Args:
        graph: the frozen graph, so that what the scores do not need counts for nothing.
        model: its Keras model, whose layers have better names than the graph's constants; any other object has none.

    Raises:
        UnsupportedModelError: it does.
    """
    broken = [node.name for node in graph.node if node.op == "Const" and _has_nan(node)]
    if not broken:
        return
    parts = keras_parts(model.layers) if hasattr(model, "layers") else ()
    layers = [
        name for name, _, weights in parts if any(weight.values is not None and _is_nan(weight.values) for weight in weights)
    ]
    names = layers or broken
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise UnsupportedModelError(
        "a model whose weights are numbers",
        f"NaN in the weights of {', '.join(names[:_NAMED])}{more}, as a training leaves them that diverged",
        "give an earlier checkpoint, or train it again with a lower learning rate",
    )


def _has_nan(node: Any) -> bool:
    tensor = node.attr["value"].tensor
    is_weight = tensor.tensor_shape.dim and require("tensorflow").as_dtype(tensor.dtype).is_floating
    return bool(is_weight) and _is_nan(require("tensorflow").make_ndarray(tensor))


def _is_nan(values: np.ndarray) -> bool:
    # the least of some is NaN where one is
    return values.dtype.kind not in "iub" and values.size > 0 and bool(np.isnan(values.min()))
