"""Layer scopes: what a Keras 3 layer computes lies in a scope of the layer's own name in the traced graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from edgecls.system.extras import require

_OPEN = "_open_name_scope"  # the method with which a layer of Keras 3 opens its scope


@contextmanager
def layer_scopes(model: Any) -> Iterator[None]:
    """Give each layer of a Keras 3 model one scope, of its own name, in what is traced meanwhile.

    Keras 3 opens the scope of a layer to build it and again to call it, and TensorFlow numbers a scope that is opened again: what `conv2d`
    computes would lie in `conv2d_1`, which may be another layer's name.
    """
    layers = list(model._flatten_layers())
    for layer in layers:
        vars(layer)[_OPEN] = partial(_scope, layer)
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop(_OPEN, None)


def _scope(layer: Any) -> Any:
    """The scope of a layer, by its whole path, which TensorFlow enters again instead of numbering it."""
    tf = require("tensorflow")
    scope = getattr(type(layer), _OPEN)(layer)
    scope._tf_name_scope = tf.name_scope(f"{tf.get_current_name_scope()}/{layer.name}/".lstrip("/"))
    return scope
