"""The table of layers: how channels pass through each layer of tf_keras, to which every Keras model is rebuilt.

A rule tells what lies along the channels of what a call gives, which axes of its weights have a place for each of them, and what it costs.
A layer without a rule keeps all that enters it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from edgecls.compression.channels.passing import NotFollowedError, Passing
from edgecls.compression.channels.shapes import channel_axis, from_last, permuted, positions, reshaped

Rule = Callable[[Passing], None]

_TOGETHER = "it takes its channels together"
_ACROSS = ("softmax", "log_softmax")  # activations that take all values of the last axis together


def same(passing: Passing) -> None:
    """What works on each value alone."""
    lane = passing.lanes[0]
    passing.give(lane.units, lane.axis)


def _dropout(passing: Passing) -> None:
    """Of fewer values a smaller share is dropped, in proportion: a narrower layer fits its images less closely.

    So Han et al. train pruned networks on (Learning both Weights and Connections, 2015, 3.2), by the root of the connections that are left
    of those behind the layer, which is this where both its sides lose alike.
    """
    same(passing)
    units, rate = passing.lanes[0].units, passing.layer.rate
    if passing.node.calls == 1 and len(units):
        passing.setting("rate", units, lambda left: rate * (left / len(units)))


def _activation(passing: Passing) -> None:
    if passing.node.activation in _ACROSS and passing.lanes[0].axis == -1:
        passing.keep(_TOGETHER)
    same(passing)


def across(passing: Passing, axes: Any) -> None:
    """What computes along some axes, and leaves the others alone."""
    lane, rank = passing.lanes[0], len(passing.shape())
    if lane.axis in from_last(axes, rank):
        passing.keep(_TOGETHER)
    passing.give(lane.units, lane.axis)


def _prelu(passing: Passing) -> None:
    lane = passing.lanes[0]
    if passing.layer.alpha.shape[lane.axis] != 1:
        passing.cut("alpha", lane.axis, lane.units)
    same(passing)


def _scaled(passing: Passing, *values: str) -> None:
    """What scales and shifts by constants of its config."""
    if any(np.size(np.asarray(getattr(passing.layer, value))) > 1 for value in values) and not passing.lanes[0].stays:
        raise NotFollowedError("it holds a constant for each channel")
    same(passing)


def _layer_scale(passing: Passing) -> None:
    units = passing.units()
    passing.cut("gamma", -1, units)
    passing.setting("projection_dim", units)
    passing.give(units)


def _batch_norm(passing: Passing) -> None:
    axes = from_last(passing.layer.axis, len(passing.shape()))
    if len(axes) > 1:
        raise NotFollowedError("it normalises along several axes")
    units = passing.units(axes[0])
    for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
        passing.cut(weight, -1, units)
    passing.give(units, axes[0])


def _group_norm(passing: Passing) -> None:
    """The channels of a group are normalised together, so they go together."""
    layer = passing.layer
    (axis,) = from_last(layer.axis, len(passing.shape()))
    units = passing.units(axis)
    groups = len(units) if layer.groups == -1 else layer.groups
    size = len(units) // groups
    tie_rows(passing, units.reshape(groups, size).T)
    passing.cut("gamma", -1, units)
    passing.cut("beta", -1, units)
    passing.setting("groups", units, lambda left: left // size)
    passing.give(units, axis)


def tie_rows(passing: Passing, rows: np.ndarray) -> None:
    """Tie the units of each column of a table."""
    for row in rows[1:]:
        passing.tie(rows[0], row)


def _dense(passing: Passing) -> None:
    ins = passing.units()
    outs = passing.new(passing.layer.units)
    passing.cut("kernel", -2, ins)
    _outputs(passing, "units", outs)
    passing.cost(positions(passing.shape(), -1), ins, outs)
    passing.read()
    passing.give(outs)


def _outputs(passing: Passing, setting: str, outs: np.ndarray, kernel_axis: int = -1, kernel: str = "kernel") -> None:
    passing.cut(kernel, kernel_axis, outs, makes=True)
    passing.cut("bias", -1, outs)
    passing.setting(setting, outs)


def _convolution(passing: Passing, *, transposed: bool = False) -> None:
    layer, axis = passing.layer, channel_axis(passing.layer, passing.shape())
    ins, groups = passing.units(axis), layer.groups
    if groups > 1 and groups == len(ins):
        _grouped_depthwise(passing, ins, axis)
        return
    outs = passing.new(layer.filters)
    tie_rows(passing, ins.reshape(groups, -1))  # as many stay in each group
    tie_rows(passing, outs.reshape(groups, -1))
    taken = ins[: len(ins) // groups]
    passing.cut("kernel", -1 if transposed else -2, taken)
    _outputs(passing, "filters", outs, kernel_axis=-2 if transposed else -1)
    # a transposed convolution spreads each input over the kernel, the others gather it for each output
    spread = passing.shape() if transposed else tuple(passing.node.outputs[0].shape[1:])
    passing.cost(int(np.prod(layer.kernel_size)) * positions(spread, axis), taken, outs)
    passing.read()
    passing.give(outs, axis)


def _grouped_depthwise(passing: Passing, ins: np.ndarray, axis: int) -> None:
    outs = np.repeat(ins, passing.layer.filters // len(ins))
    _outputs(passing, "filters", outs)
    passing.setting("groups", ins)
    _per_channel_cost(passing, outs, axis)
    passing.give(outs, axis)


def _depthwise(passing: Passing) -> None:
    axis = channel_axis(passing.layer, passing.shape())
    ins = passing.units(axis)
    outs = np.repeat(ins, passing.layer.depth_multiplier)
    passing.cut("depthwise_kernel", -2, ins)
    passing.cut("bias", -1, outs)
    _per_channel_cost(passing, outs, axis)
    passing.give(outs, axis)


def _per_channel_cost(passing: Passing, outs: np.ndarray, axis: int, shape: tuple[int | None, ...] | None = None) -> None:
    made = shape or tuple(passing.node.outputs[0].shape[1:])
    passing.cost(int(np.prod(passing.layer.kernel_size)) * positions(made, axis), np.zeros(0, np.int64), outs)
    passing.read()


def _separable(passing: Passing) -> None:
    layer, axis = passing.layer, channel_axis(passing.layer, passing.shape())
    ins = passing.units(axis)
    between, outs = np.repeat(ins, layer.depth_multiplier), passing.new(layer.filters)
    passing.cut("depthwise_kernel", -2, ins)
    passing.cut("pointwise_kernel", -2, between)
    _outputs(passing, "filters", outs, kernel="pointwise_kernel")
    _per_channel_cost(passing, between, axis)
    passing.cost(positions(tuple(passing.node.outputs[0].shape[1:]), axis), between, outs)
    passing.give(outs, axis)


def _spatial(passing: Passing) -> None:
    """What works on each channel's image alone."""
    axis = channel_axis(passing.layer, passing.shape())
    passing.give(passing.units(axis), axis)


def _global_pooling(passing: Passing) -> None:
    axis = channel_axis(passing.layer, passing.shape())
    passing.give(passing.units(axis), axis if passing.layer.keepdims else -1)


def _flatten(passing: Passing) -> None:
    if getattr(passing.layer, "data_format", None) == "channels_first" and len(passing.shape()) > 1:
        raise NotFollowedError("it reorders channels that come first")
    units, axis = reshaped(passing.lanes[0], passing.shape(), passing.node.outputs[0].shape[1:])
    passing.give(units, axis)


def _reshape(passing: Passing) -> None:
    shape = tuple(passing.node.outputs[0].shape[1:])
    units, axis = reshaped(passing.lanes[0], passing.shape(), shape)
    if (units != 0).any():
        passing.setting("target_shape", units, lambda left: (*shape[:axis], left, *shape[len(shape) + axis + 1 :]))
    passing.give(units, axis)


def _permute(passing: Passing) -> None:
    lane = passing.lanes[0]
    passing.give(lane.units, permuted(lane.axis, passing.layer.dims))


def merge(passing: Passing) -> None:
    """Arithmetic of several tensors, which are broadcast to one another."""
    axes = {lane.axis for lane in passing.lanes if not lane.stays} or {-1}
    if len(axes) > 1:
        raise NotFollowedError("its inputs have their channels along different axes")
    (axis,) = axes
    made = passing.node.outputs[0].shape[1:]
    whole = [index for index in range(len(passing.lanes)) if _spans(passing.shape(index), axis, made)]
    first, *others = [passing.units(axis, index) for index in whole]
    for units in others:
        passing.tie(first, units)
    passing.give(first, axis)


def _spans(shape: tuple[int | None, ...], axis: int, made: Any) -> bool:
    """Whether a tensor has a value for each channel of the result, and not one for all of them."""
    return len(shape) >= -axis and shape[axis] == made[axis]


def concatenate(passing: Passing, along: int) -> None:
    """Tensors one behind the other along an axis."""
    (joined,) = from_last(along, len(passing.shape()))
    axes = {lane.axis for lane in passing.lanes if not lane.stays} or {joined}
    if len(axes) > 1:
        raise NotFollowedError("its inputs have their channels along different axes")
    (axis,) = axes
    parts = [passing.units(axis, index) for index in range(len(passing.lanes))]
    if axis == joined:
        passing.give(np.concatenate(parts), axis)
        return
    for units in parts[1:]:
        passing.tie(parts[0], units)
    passing.give(parts[0], axis)


_DIMENSIONS = ("1D", "2D", "3D")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def each(rule: Rule, *kinds: str) -> dict[str, Rule]:
    """One rule for several kinds."""
    return dict.fromkeys(kinds, rule)


def _sized(rule: Rule, *kinds: str) -> dict[str, Rule]:
    """Layers that come for one, two and three dimensions."""
    return {f"{kind}{size}": rule for kind in kinds for size in _DIMENSIONS}


RULES: dict[str, Rule] = {
    **each(same, "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Identity"),
    **each(same, "GaussianNoise", "ActivityRegularization", "StochasticDepth"),
    **each(_dropout, "Dropout", "AlphaDropout", "GaussianDropout"),
    **_sized(_dropout, "SpatialDropout"),
    "Activation": _activation,
    "Softmax": lambda passing: across(passing, passing.layer.axis),
    "PReLU": _prelu,
    "Rescaling": lambda passing: _scaled(passing, "scale", "offset"),
    "Normalization": lambda passing: _scaled(passing, "mean", "variance"),
    "LayerScale": _layer_scale,
    **each(_batch_norm, "BatchNormalization", "SyncBatchNormalization"),
    **each(lambda passing: across(passing, passing.layer.axis), "LayerNormalization", "UnitNormalization"),
    "GroupNormalization": _group_norm,
    "Dense": _dense,
    **_sized(_convolution, "Conv"),
    **{f"Conv{size}Transpose": partial(_convolution, transposed=True) for size in _DIMENSIONS},
    **each(_depthwise, "DepthwiseConv1D", "DepthwiseConv2D"),
    **each(_separable, "SeparableConv1D", "SeparableConv2D"),
    **_sized(_spatial, "MaxPooling", "AveragePooling", "UpSampling", "ZeroPadding", "Cropping"),
    "Resizing": _spatial,
    **_sized(_global_pooling, "GlobalAveragePooling", "GlobalMaxPooling"),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": lambda passing: passing.give(passing.units()),
    **each(merge, *_MERGES),
    "Concatenate": lambda passing: concatenate(passing, passing.layer.axis),
}
