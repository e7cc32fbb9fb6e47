"""1x1 convolutions with strides, made safe to train.

Their gradient crashes the process in TensorFlow 2.21 with oneDNN (8 channels at 60x60 do). Such a convolution takes every n-th pixel
alone: to take those first and convolve without strides is the same function, and its gradient is sound.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from edgecls.system.extras import require


def subsample_first(model: Any) -> None:
    """Change how the 1x1 strided convolutions of a tf_keras model compute, not what; in place, and not in what is saved of it."""
    for layer in model.layers:
        if isinstance(layer, require("tf_keras").layers.Conv2D) and set(layer.kernel_size) == {1} and max(layer.strides) > 1:
            layer.convolution_op = partial(_convolve, tuple(layer.strides))


def _convolve(strides: tuple[int, int], inputs: Any, kernel: Any) -> Any:
    return require("tensorflow").nn.conv2d(inputs[:, :: strides[0], :: strides[1], :], kernel, 1, "VALID")
