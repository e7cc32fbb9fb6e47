"""Counterparts: the tf_keras layer that computes what a layer of either Keras generation does."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from edgecls.models.keras_model import cause_of, load_errors
from edgecls.system.extras import require

_NOT_NEEDED = ("_initializer", "_regularizer", "_constraint")  # weights are copied; what trains further has rules of its own
_DROPPED = {"dtype", "quantization_config", "build_config", "autocast", "batch_shape", "batch_input_shape", "seed"}
_USUAL = "channels_last"
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}  # class -> settings that tf_keras calls otherwise
_FROM_APPLICATIONS = ("LayerScale", "StochasticDepth")  # tf_keras keeps them beside ConvNeXt
_CODE = "Lambda"


class NoCounterpartError(Exception):
    """tf_keras cannot compute what a layer does; the text says why."""


@contextlib.contextmanager
def keras_refusals() -> Iterator[None]:
    """Make a NoCounterpartError of whatever a framework raises when a layer does not take what it is given.

    The frameworks and their layers have no error of their own for that, so nothing but their calls belongs inside.
    """
    try:
        yield
    except load_errors() as error:
        raise NoCounterpartError(cause_of(error)[:200].rstrip(".")) from error


def make_counterpart(tf_keras: Any, layer: Any, generation: int, **settings: Any) -> Any:
    """A layer of tf_keras that is set as a layer is.

    Args:
        layer: of Keras `generation`, 2 or 3.
        settings: what the counterpart has otherwise, its name among them.

    Raises:
        NoCounterpartError: there is none, or it lacks a setting.
    """
    kind = type(layer).__name__
    if kind == _CODE:
        raise NoCounterpartError("its code does not go into a variant")
    if not type(layer).__module__.startswith(("keras.", "tf_keras.")):
        raise NoCounterpartError("it is no layer of Keras's own")
    with keras_refusals():
        config = {**layer.get_config(), **settings}
    if generation == 3:
        return _made(tf_keras, kind, config)
    with keras_refusals():
        return type(layer).from_config({name: value for name, value in config.items() if _is_kept(name)})


def _made(tf_keras: Any, kind: str, config: dict[str, Any]) -> Any:
    """The layer of tf_keras that a class and a config of Keras 3 describe, layers inside it included."""
    cls, renamed = _class(tf_keras, kind), _RENAMED.get(kind, {})
    accepted, defaults = _parameters(cls), _parameters(getattr(require("keras").layers, kind, cls))
    kept = {}
    for name, value in config.items():
        if renamed.get(name, name) in accepted and _is_kept(name):
            kept[renamed.get(name, name)] = _inner(tf_keras, value)
        elif _is_kept(name) and not _is_default(value, defaults.get(name)):
            raise NoCounterpartError(f"its setting {name}={value!r} is unknown to tf_keras")
    with keras_refusals():
        return cls(**kept)


def _inner(tf_keras: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_inner(tf_keras, part) for part in value]
    if isinstance(value, dict) and str(value.get("module")) == "keras.layers":
        return _made(tf_keras, value["class_name"], value["config"])
    return value


def _class(tf_keras: Any, kind: str) -> Any:
    if kind in _FROM_APPLICATIONS:
        from tf_keras.src.applications import convnext

        return getattr(convnext, kind)
    found = getattr(tf_keras.layers, kind, None)
    if found is None:
        raise NoCounterpartError("tf_keras has no such layer")
    return found


def _is_kept(name: str) -> bool:
    return name not in _DROPPED and not name.endswith(_NOT_NEEDED)


def _is_default(value: Any, default: Any) -> bool:
    """Whether a setting is what the layer does anyway, as tf_keras, which lacks the setting, does too."""
    value, default = (tuple(item) if isinstance(item, list) else item for item in (value, default))
    is_off = value is None or value is False or value == _USUAL
    return is_off or (type(value) is type(default) and value == default)


def _parameters(cls: type) -> dict[str, Any]:
    """Settings of a class and of those it is made of -> their defaults, None where there are none."""
    found: dict[str, Any] = {"name": None, "trainable": None}
    for base in reversed([base for base in cls.__mro__ if "__init__" in base.__dict__]):
        for name, parameter in inspect.signature(base.__dict__["__init__"]).parameters.items():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name != "self":
                found[name] = None if parameter.default is inspect.Parameter.empty else parameter.default
    return found
