"""Activation functions and softmax."""

from __future__ import annotations

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, Translate, always, entry

_GELU_MODES = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")


def _relu6(call: Call) -> str:
    return call.graph.node("Clip", call.tensor("x"), call.scalar(0.0, "x"), call.scalar(6.0, "x"))


def _with_alpha(kind: str) -> Translate:
    return lambda call: call.graph.node(kind, call.tensor("x"), alpha=call.number("alpha"))


def _clamped_relu(call: Call) -> str:
    """min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere."""
    leaky = call.graph.node("LeakyRelu", call.tensor("x"), alpha=call.number("alpha"))
    return call.graph.node("Min", leaky, call.scalar(call.number("beta"), "x"))


def _linear_activation(call: Call) -> str:
    scaled = call.graph.node("Mul", call.tensor("x"), call.scalar(call.number("alpha"), "x"))
    return call.graph.node("Add", scaled, call.scalar(call.number("beta"), "x"))


def _scaled_tanh(call: Call) -> str:
    inner = call.graph.node("Mul", call.tensor("x"), call.scalar(call.number("beta"), "x"))
    return call.graph.node("Mul", call.graph.node("Tanh", inner), call.scalar(call.number("alpha"), "x"))


def _sigmoid_hard(call: Call) -> str:
    return call.graph.node("HardSigmoid", call.tensor("x"), alpha=call.number("alpha"), beta=call.number("beta"))


def _silu(call: Call) -> str:
    x = call.tensor("x")
    return call.graph.node("Mul", x, call.graph.node("Sigmoid", x))


def _gelu(call: Call) -> str:
    mode, x = call.choice("mode", _GELU_MODES, "EXACT"), call.tensor("x")
    if mode == "SIGMOID_APPROXIMATION":
        return call.graph.node("Mul", x, call.graph.node("Sigmoid", call.graph.node("Mul", x, call.scalar(1.702, "x"))))
    return call.graph.node("Gelu", x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _thresholded_relu(call: Call) -> str:
    """x where x >= alpha, else 0; ONNX's own leaves x = alpha out."""
    x = call.tensor("x")
    kept = call.graph.node("GreaterOrEqual", x, call.scalar(call.number("alpha"), "x"))
    return call.graph.node("Where", kept, x, call.scalar(0.0, "x"))


def _per_channel(call: Call, name: str) -> str:
    """A vector of one value a channel, shaped to broadcast over axis 1 of x."""
    values = np.asarray(call.constant(name)).reshape(-1)
    return call.graph.constant(values.reshape(1, -1, *[1] * (call.rank("x") - 2)))


def _prelu(call: Call) -> str:
    return call.graph.node("PRelu", call.tensor("x"), _per_channel(call, "alpha"))


def _softplus_parametric(call: Call) -> str:
    inner = call.graph.node("Softplus", call.graph.node("Mul", call.tensor("x"), _per_channel(call, "beta")))
    return call.graph.node("Mul", inner, _per_channel(call, "alpha"))


def _softmax(call: Call) -> str:
    """Of a dequantized x an Abs, which changes no share, keeps the engine from its integer softmax: that overflows for small scales."""
    shares = call.graph.node("Softmax", call.tensor("x"), axis=call.axis("axis", of="x"))
    return call.graph.node("Abs", shares) if call.is_dequantized("x") else shares


def _axis_is_not_first(call: Call) -> bool:
    return call.axis("axis", of="x") != 0


_PLAIN = {"relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "softsign": "Softsign", "tanh": "Tanh"}


def _plain(kind: str) -> Translate:
    return lambda call: call.graph.node(kind, call.tensor("x"))


ENTRIES: dict[str, Entry] = {
    **{name: entry(_plain(kind), "x", always) for name, kind in _PLAIN.items()},
    "relu6": entry(_relu6, "x", always),
    "elu": entry(_with_alpha("Elu"), "x alpha", always),
    "leaky_relu": entry(_with_alpha("LeakyRelu"), "x alpha", always),
    "clamped_relu": entry(_clamped_relu, "x alpha beta", always),
    "linear_activation": entry(_linear_activation, "x alpha beta", always),
    "scaled_tanh": entry(_scaled_tanh, "x alpha beta", always),
    "sigmoid_hard": entry(_sigmoid_hard, "x alpha beta", always),
    "silu": entry(_silu, "x", always),
    "gelu": entry(_gelu, "x mode", always),
    "thresholded_relu": entry(_thresholded_relu, "x alpha", always),
    "prelu": entry(_prelu, "x alpha", always),
    "softplus_parametric": entry(_softplus_parametric, "x alpha beta", always),
    "softmax": entry(_softmax, "x axis", _axis_is_not_first),
}
