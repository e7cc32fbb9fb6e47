"""Operations: arithmetic written into a model outside its layers, as layers of tf_keras or functions of TensorFlow it can save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecls.models.activations import separate_activation
from edgecls.models.counterparts import NoCounterpartError, keras_refusals
from edgecls.models.keras_graph import Call
from edgecls.system.extras import require

_ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "swish",
    "Softmax": "softmax",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "HardSilu": "hard_swish",
    "HardSwish": "hard_swish",
    "HardSigmoid": "relu6_sigmoid",
}
_MERGES = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract", "Maximum": "Maximum", "Minimum": "Minimum"}
# Class of a Keras 3 operation -> TensorFlow function of its tensors, and of the settings it keeps as attributes.
_FUNCTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "Add": ("add", {}),
    "Multiply": ("multiply", {}),
    "Subtract": ("subtract", {}),
    "Maximum": ("maximum", {}),
    "Minimum": ("minimum", {}),
    "Divide": ("divide", {}),
    "TrueDivide": ("truediv", {}),
    "Power": ("pow", {}),
    "Negative": ("negative", {}),
    "Absolute": ("abs", {}),
    "Square": ("square", {}),
    "Sqrt": ("sqrt", {}),
    "Exp": ("exp", {}),
    "Mean": ("reduce_mean", {"axis": "axis", "keepdims": "keepdims"}),
    "Sum": ("reduce_sum", {"axis": "axis", "keepdims": "keepdims"}),
    "Max": ("reduce_max", {"axis": "axis", "keepdims": "keepdims"}),
    "Transpose": ("transpose", {"axes": "perm"}),
    "ExpandDims": ("expand_dims", {"axis": "axis"}),
    "Squeeze": ("squeeze", {"axis": "axis"}),
    "Cast": ("cast", {"dtype": "dtype"}),
}
_SPECIAL: dict[str, Callable[..., Any]] = {
    "Gelu": lambda tf, layers, operation, name, value: tf.nn.gelu(value, approximate=operation.approximate),
    "Concatenate": lambda tf, layers, operation, name, values: layers.Concatenate(operation.axis, name=name)(values),
    "Reshape": lambda tf, layers, operation, name, value: layers.Reshape(operation.newshape[1:], name=name)(value),
    "GetItem": lambda tf, layers, operation, name, value, key: value[key],
}


def translate_operation(tf_keras: Any, call: Call, free_name: Callable[[str], str]) -> Any:
    """The outputs of one operation.

    Raises:
        NoCounterpartError: an operation that is not known, or does not take these tensors.
    """
    if call.generation == 2:
        args = [_spelt_out(value, call) for value in call.args]
        kwargs = {name: _spelt_out(value, call) for name, value in call.kwargs.items()}
        with keras_refusals():
            made = type(call.layer).from_config({**call.layer.get_config(), "name": free_name(call.layer.name)})
            return made(*args, **kwargs)
    kind, tf, values = call.kind, require("tensorflow"), list(call.args)
    if kind in _ACTIVATIONS and len(values) == 1 and getattr(call.layer, "axis", -1) == -1:
        return separate_activation(tf_keras, _ACTIVATIONS[kind], values[0], free_name)
    if kind in _MERGES and all(map(_is_symbolic, values)):
        with keras_refusals():
            return getattr(tf_keras.layers, _MERGES[kind])(name=free_name(call.layer.name))(values)
    if kind in _SPECIAL:
        with keras_refusals():
            return _SPECIAL[kind](tf, tf_keras.layers, call.layer, free_name(call.layer.name), *values)
    if kind not in _FUNCTIONS:
        raise NoCounterpartError(f"the operation keras.ops.{kind} is unknown")
    function, settings = _FUNCTIONS[kind]
    arguments = {name: getattr(call.layer, attribute) for attribute, name in settings.items()}
    constants = [value if _is_symbolic(value) else _plain(value) for value in values]
    with keras_refusals():
        return getattr(tf, function)(*constants, **{**arguments, **call.kwargs})


def _spelt_out(argument: Any, call: Call) -> Any:
    """An argument of a slice with the axes that `...` stands for, which the file of a variant cannot hold."""
    parts = [argument] if argument is ... else argument
    if not isinstance(parts, list | tuple) or not any(part is ... for part in parts):
        return argument
    place = next(index for index, part in enumerate(parts) if part is ...)
    taken = sum(part is not ... and part is not None for part in parts)
    whole = [{"start": None, "stop": None, "step": None}] * (call.args[0].shape.rank - taken)
    return [*parts[:place], *whole, *parts[place + 1 :]]


def _plain(value: Any) -> Any:
    """A constant as Python values, which a tf_keras model can save."""
    return value.numpy().tolist() if hasattr(value, "numpy") else value


def _is_symbolic(value: Any) -> bool:
    return hasattr(value, "_keras_history")
