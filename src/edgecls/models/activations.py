"""Activations: what the names of both Keras generations mean, and each as layers of tf_keras.

TensorFlow Lite joins x * relu6(x + 3) / 6 to one hard-swish, so that it may be written out here; tf_keras has none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

_COMMON = {
    "linear": "linear",
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "tanh": "tanh",
    "swish": "swish",
    "silu": "swish",
    "gelu": "gelu",
    "elu": "elu",
    "selu": "selu",
    "softplus": "softplus",
    "softsign": "softsign",
    "exponential": "exponential",
    "mish": "mish",
    "hard_swish": "hard_swish",
    "h_swish": "hard_swish",
    "hard_silu": "hard_swish",
}
# What the same name computes differs: tf_keras's hard_sigmoid is clip(0.2 x + 0.5), that of Keras 3 relu6(x + 3) / 6.
TF_KERAS = {**_COMMON, "hard_sigmoid": "hard_sigmoid"}
KERAS3 = {**_COMMON, "hard_sigmoid": "relu6_sigmoid", "leaky_relu": "leaky_relu", "log_softmax": "log_softmax"}


def separate_activation(tf_keras: Any, activation: str, value: Any, free_name: Callable[[str], str]) -> Any:
    """Apply a known activation as layers of its own.

    Args:
        activation: a value of TF_KERAS or KERAS3.
        value: a symbolic tensor of tf_keras.
        free_name: makes a layer name that is not taken.
    """
    layers = tf_keras.layers
    if activation == "linear":
        return value
    if activation == "hard_swish":
        return layers.Multiply(name=free_name("hard_swish"))(
            [value, separate_activation(tf_keras, "relu6_sigmoid", value, free_name)]
        )
    if activation == "relu6_sigmoid":
        return layers.ReLU(6.0, name=free_name("relu6"))(value + 3.0) * (1.0 / 6.0)
    own_classes = {"relu": layers.ReLU, "relu6": partial(layers.ReLU, 6.0), "leaky_relu": partial(layers.LeakyReLU, 0.2)}
    make = own_classes.get(activation, partial(layers.Activation, activation))
    return make(name=free_name(activation))(value)
