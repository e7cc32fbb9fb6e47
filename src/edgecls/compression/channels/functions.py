"""The table of functions: how channels pass through arithmetic that is written into a model, and so no layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.compression.channels.layers import Rule, across, concatenate, each, merge, same, tie_rows
from edgecls.compression.channels.passing import NotFollowedError, Passing
from edgecls.compression.channels.shapes import along, from_last, permuted, reshaped, spread

_ARITHMETIC = (
    "add",
    "subtract",
    "sub",
    "multiply",
    "mul",
    "maximum",
    "minimum",
    "squared_difference",
)
_INFINITE = ("log", "reciprocal", "rsqrt")  # of a channel of zeros
_BY_ZERO = "a channel of zeros has no finite value there"
_ELEMENTWISE = (
    "abs",
    "cast",
    "clip_by_value",
    "elu",
    "erf",
    "exp",
    "expm1",
    "gelu",
    "identity",
    "leaky_relu",
    "log1p",
    "neg",
    "negative",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "stop_gradient",
    "swish",
    "tanh",
)
_REDUCTIONS = ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min")


def rule_of(symbol: str) -> Rule | None:
    """The rule of TensorFlow's name of a function, as `math.add`; None where there is none."""
    return _RULES.get(symbol.rpartition(".")[2])


def _arithmetic(passing: Passing) -> None:
    node = passing.node
    constants = [value for value in (*node.args, *node.kwargs.values()) if not hasattr(value, "_keras_history")]
    if any(np.size(value) > 1 for value in constants if not isinstance(value, str)):
        raise NotFollowedError("it holds a constant for each channel")
    merge(passing)


def _quotient(passing: Passing) -> None:
    above = _argument(passing, 0, "x")
    for index, tensor in enumerate(passing.node.inputs):
        if tensor is not above:
            passing.keep(_BY_ZERO, index)
    _arithmetic(passing)


def _power(passing: Passing) -> None:
    exponent = _argument(passing, 1, "y")
    if hasattr(exponent, "_keras_history") or np.min(exponent) < 0:
        for index in range(len(passing.lanes)):
            passing.keep(_BY_ZERO, index)
    _arithmetic(passing)


def _infinite(passing: Passing) -> None:
    passing.keep(_BY_ZERO)
    same(passing)


def _reduction(passing: Passing) -> None:
    axes = _argument(passing, 1, "axis")
    lane, rank = passing.lanes[0], len(passing.shape())
    if axes is None or lane.axis in (gone := from_last(axes, rank)) or -rank - 1 in gone:
        raise NotFollowedError("it takes its channels together")
    kept = bool(_argument(passing, 2, "keepdims"))
    passing.give(lane.units, lane.axis if kept else lane.axis + sum(axis > lane.axis for axis in gone))


def _slice(passing: Passing) -> None:
    """Positions are taken; where they are some of the channels, their numbers are written into the call."""
    lane, key = passing.lanes[0], _argument(passing, 1, "slice_spec")
    if lane.stays:
        return
    parts = [slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part for part in _listed(key)]
    units, axis = along(spread(lane, passing.shape())[None][tuple(parts)][0])
    if not np.array_equal(units, lane.units):
        raise NotFollowedError("it takes some of its channels")
    passing.give(units, axis)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _split(passing: Passing) -> None:
    """In equal parts as many channels stay in each."""
    lane, parts = passing.lanes[0], _argument(passing, 1, "num_or_size_splits")
    (axis,) = from_last(_argument(passing, 2, "axis") or 0, len(passing.shape()))
    rows = [lane.units] * len(passing.node.outputs)
    if axis == lane.axis:
        if not isinstance(parts, int):
            raise NotFollowedError("it takes some of its channels")
        rows = lane.units.reshape(parts, -1)
        tie_rows(passing, rows)
    for index, units in enumerate(rows):
        passing.give(units, lane.axis, index)


def _pad(passing: Passing) -> None:
    lane, sizes = passing.lanes[0], np.asarray(_argument(passing, 1, "paddings"))
    before, after = sizes[lane.axis]
    if (before or after) and str(_argument(passing, 2, "mode") or "CONSTANT").upper() != "CONSTANT":
        raise NotFollowedError("it repeats some of its channels")
    passing.give(np.pad(lane.units, (before, after)), lane.axis)


def _transpose(passing: Passing) -> None:
    order = _argument(passing, 1, "perm")
    if order is None or order[0] != 0:
        raise NotFollowedError("it reorders the images")
    passing.give(passing.lanes[0].units, permuted(passing.lanes[0].axis, list(order[1:])))


def _reshaped(passing: Passing) -> None:
    passing.give(*reshaped(passing.lanes[0], passing.shape(), passing.node.outputs[0].shape[1:]))


def _resize(passing: Passing) -> None:
    passing.give(passing.units())


def _softmax(passing: Passing) -> None:
    axis = _argument(passing, 1, "axis")
    across(passing, -1 if axis is None else axis)


def _concat(passing: Passing) -> None:
    concatenate(passing, _argument(passing, 1, "axis"))


def _argument(passing: Passing, place: int, name: str) -> Any:
    """A setting of the call."""
    args, kwargs = passing.node.args, passing.node.kwargs
    return args[place] if len(args) > place else kwargs.get(name)


_RULES: dict[str, Rule] = {
    **each(_arithmetic, *_ARITHMETIC),
    **each(_quotient, "divide", "truediv"),
    "pow": _power,
    **each(_infinite, *_INFINITE),
    **each(same, *_ELEMENTWISE),
    **each(_reduction, *_REDUCTIONS),
    "concat": _concat,
    "getitem": _slice,
    "split": _split,
    "pad": _pad,
    "transpose": _transpose,
    **each(_reshaped, "expand_dims", "squeeze"),
    "resize": _resize,
    **each(_softmax, "softmax", "log_softmax"),
}
