"""Fake quantization: tf_keras layers that round as int8 kernels do, with gradients that pass the rounding (straight through).

Weights are int8 from -127 to 127 without zero point, one scale for each output channel: max|w| / 127. Activations are int8 with a
zero point, one scale for a tensor, over a range that contains zero. All scales are float16 numbers, as in every int8 file
(`edgecls.quantization.scales`). The same arithmetic is in litert-quantizer, which writes the files.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from edgecls.compression.batch_norm import LEAST_VARIANCE, BatchNorm, batch_norm_of, output_axes, scale_outputs
from edgecls.quantization.scales import HIGHEST, POINT_WIDTH, STEPS
from edgecls.system.extras import require

_TIE = 1e-4  # of a step; an average over fewer than 5,000 codes is farther than that from half-way between two, or exactly there
_LEAST_BOUND = 1e-9  # litert-quantizer's, so that a channel of zeros has a scale
MOMENTUM = 0.99


@cache
def quantizer_class() -> Any:
    """The layer that rounds activations; made when tf_keras is first needed."""
    tf, tf_keras = require("tensorflow"), require("tf_keras")

    class Quantizer(tf_keras.layers.Layer):
        """Rounds all tensors of one group to its int8 codes.

        The range of the group spans those of its members. While it is not frozen, a member's range follows the extremes of each training
        batch, drawn in by the share that the estimator of the starting range drew them in.

        Args:
            starts: lowest and highest value of each member [members, 2], as estimated.
            extremes: the same without an estimator's clipping.
            momentum: variable shared by all: 1 freezes.
        """

        def __init__(self, starts: np.ndarray, extremes: np.ndarray, momentum: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._starts, self._momentum = starts.astype(np.float32), momentum
            safe = np.where(extremes == 0, 1.0, extremes)
            # An estimate beyond zero, of values that hardly cross it, draws the extreme in to zero: a range contains zero anyway.
            self._shares = np.where(extremes == 0, 1.0, np.clip(starts / safe, 0.0, 1.0)).astype(np.float32)

        def build(self, shape: Any) -> None:
            def weight(name: str, values: np.ndarray) -> Any:
                return self.add_weight(name, values.shape, initializer=tf.constant_initializer(values), trainable=False)

            self.low, self.high = weight("low", self._starts[:, 0]), weight("high", self._starts[:, 1])
            super().build(shape)

        def call(self, values: Any, member: int = 0, *, again: bool = False, training: bool = False) -> Any:
            """Round the values of a member; `again`, what was made of rounded ones without leaving their range."""
            if again:
                values = self._beside_ties(values)
            elif training:
                tf.cond(self._momentum < 1.0, lambda: self._follow(values, member), tf.no_op)
            low, high = self.range()
            return tf.quantization.fake_quant_with_min_max_vars(values, low, high)

        def range(self) -> tuple[Any, Any]:
            """Range of the group, as `float16_range` makes it: it contains zero and is not a point."""
            low = tf.minimum(tf.reduce_min(self.low), 0.0)
            high = tf.maximum(tf.reduce_max(self.high), 0.0)
            high = tf.where(high > low, tf.maximum(high, low + 1e-6), low + POINT_WIDTH)
            scale = _float16_scale((high - low) / STEPS)
            below = tf.clip_by_value(tf.round(-low / scale), 0.0, STEPS)
            return -below * scale, (STEPS - below) * scale

        def fix(self, low: float, high: float) -> None:
            """Give all members one range."""
            self.low.assign(tf.fill(self.low.shape, low))
            self.high.assign(tf.fill(self.high.shape, high))

        def _beside_ties(self, values: Any) -> Any:
            """Averages that fall half-way between two codes, moved towards the one TensorFlow Lite takes: the farther from its code 0."""
            low, high = self.range()
            scale = (high - low) / STEPS
            return values + _TIE * scale * tf.sign(values - (low + 128 * scale))

        def _follow(self, values: Any, member: int) -> Any:
            for variable, extreme, share in (
                (self.low, tf.reduce_min(values), self._shares[member, 0]),
                (self.high, tf.reduce_max(values), self._shares[member, 1]),
            ):
                change = (1.0 - self._momentum) * (extreme * share - variable[member])
                variable.scatter_nd_add([[member]], [change])
            return tf.no_op()

    return Quantizer


@cache
def fixed_quantizer_class() -> Any:
    """The layer that rounds to codes that an operation's kernel prescribes."""
    tf, tf_keras = require("tensorflow"), require("tf_keras")

    class FixedQuantizer(tf_keras.layers.Layer):
        def __init__(self, low: float, high: float, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._range = low, high

        def call(self, values: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_args(values, *self._range)

    return FixedQuantizer


@cache
def quantized_class(kind: str, *, per_channel: bool) -> Any:
    """The tf_keras layer of a name with a kernel that is rounded whenever it is used.

    The variable keeps its own values; `float_kernel` is it.
    """
    base = getattr(require("tf_keras").layers, kind)
    name = "depthwise_kernel" if kind == "DepthwiseConv2D" else "kernel"

    def get(layer: Any) -> Any:
        return round_kernel(layer.unrounded(), kind, per_channel=per_channel)

    def set_variable(layer: Any, value: Any) -> None:
        layer.float_kernel = value

    def unrounded(layer: Any) -> Any:
        return layer.float_kernel

    return type(f"Quantized{kind}", (base,), {name: property(get, set_variable), "unrounded": unrounded})


@cache
def normalised_class(kind: str) -> Any:
    """The same with a BatchNorm behind the rounded kernel, in place of a bias.

    Rounding a kernel with a scale for each channel and multiplying it with the BatchNorm's factors are the same in either order (but for
    the next float16 number), so the codes are those of the folded kernel in the file, whatever the BatchNorm learns. It goes by each
    training batch to the end, as it does without quantization: what this noise keeps from being learned by heart would be, once mean and
    variance stayed. Where it does not go by a batch it is folded before the kernel is rounded, so that the sums are those of the file to
    the last bit.
    """
    tf, tf_keras = require("tensorflow"), require("tf_keras")
    base = quantized_class(kind, per_channel=True)

    class Normalised(base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "use_bias": False})
            self.norm: Any = None
            self._folds = False

        def attach(self, norm: BatchNorm) -> None:
            """Say what is to follow the kernel, before the layer is built."""
            self._start = norm

        def build(self, shape: Any) -> None:
            super().build(shape)
            start = self._start
            self.norm = tf_keras.layers.BatchNormalization(
                momentum=start.momentum, epsilon=start.epsilon, trainable=start.trainable, name=f"{self.name}_norm"
            )
            self.norm.build(self.compute_output_shape(shape))
            self.norm.set_weights([start.gamma, start.beta, start.mean, start.variance])

        def call(self, values: Any, *, training: bool = False) -> Any:
            if training and self.norm.trainable:
                return self.norm(super().call(values), training=True)
            self._folds = True
            try:
                return super().call(values) + _float16_bias(tf.cast(self._affine()[1], values.dtype))
            finally:
                self._folds = False

        def unrounded(self) -> Any:
            if not self._folds:
                return self.float_kernel
            kernel = tf.cast(self.float_kernel, tf.float64)
            return tf.cast(kernel * tf.reshape(self._affine()[0], output_axes(kernel.shape, kind)), tf.float32)

        def folded(self) -> list[np.ndarray]:
            """Kernel and bias of a layer without BatchNorm that computes the same."""
            norm = batch_norm_of(self.norm)
            kernel = self.float_kernel.numpy().astype(np.float64)
            return [scale_outputs(kernel, kind, norm.scale), norm.shift]

        def _affine(self) -> tuple[Any, Any]:
            """Factor and summand of the BatchNorm, float64 as `BatchNorm` has them."""
            values = [
                tf.cast(value, tf.float64)
                for value in (self.norm.gamma, self.norm.beta, self.norm.moving_mean, self.norm.moving_variance)
            ]
            gamma, beta, mean, variance = values
            scale = gamma / tf.sqrt(variance + max(self.norm.epsilon, LEAST_VARIANCE))
            return scale, beta - mean * scale

    Normalised.__name__ = f"Normalised{kind}"
    return Normalised


def round_kernel(kernel: Any, kind: str, *, per_channel: bool) -> Any:
    """A kernel as int8 stores it; its gradient is that of the kernel itself.

    A depthwise kernel always has a scale for each channel: with one for all, most channels would be left few codes.
    """
    tf = require("tensorflow")
    value = tf.convert_to_tensor(kernel)
    if kind == "DepthwiseConv2D":
        axes: list[int] | None = [0, 1]
    elif not per_channel:
        axes = None
    else:
        channel = 2 if kind == "Conv2DTranspose" else len(value.shape) - 1
        axes = [axis for axis in range(len(value.shape)) if axis != channel]
    bound = tf.maximum(tf.reduce_max(tf.abs(value), axis=axes, keepdims=True), _LEAST_BOUND)
    # Not TensorFlow's fake_quant: it measures from the lowest value and so rounds some values half-way to the other code.
    scale = bound / HIGHEST
    if per_channel:
        scale = _float16_scale(scale)
    return value + tf.stop_gradient(tf.round(value / scale) * scale - value)


def _float16_scale(scale: Any) -> Any:
    """`edgecls.quantization.scales.float16_scale` of a tensor."""
    tf = require("tensorflow")
    nearest = tf.cast(scale, tf.float16)
    above = tf.bitcast(tf.bitcast(nearest, tf.int16) + tf.constant(1, tf.int16), tf.float16)
    raised = tf.cast(tf.where(tf.cast(nearest, tf.float32) < scale, above, nearest), tf.float32)
    return tf.where(raised <= scale * (1 + 0.5 / HIGHEST), raised, scale)


def _float16_bias(bias: Any) -> Any:
    """`edgecls.quantization.scales.float16_bias` of a tensor."""
    tf = require("tensorflow")
    nearest = tf.cast(tf.cast(bias, tf.float16), tf.float32)
    return tf.where(tf.math.is_finite(nearest), nearest, bias)
