"""The table of functions: how channels pass through arithmetic that is written into a model, and so no layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecls.compression.channels.layers import Rule, concatenate, merge
from edgecls.compression.channels.passing import NotFollowedError, Passing
from edgecls.compression.channels.shapes import from_last

_ARITHMETIC = (
    "add",
    "subtract",
    "sub",
    "multiply",
    "mul",
    "divide",
    "truediv",
    "maximum",
    "minimum",
    "pow",
    "squared_difference",
)
_ELEMENTWISE = (
    "abs",
    "cast",
    "clip_by_value",
    "elu",
    "exp",
    "gelu",
    "identity",
    "leaky_relu",
    "neg",
    "negative",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
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


def _elementwise(passing: Passing) -> None:
    lane = passing.lanes[0]
    passing.give(lane.units, lane.axis)


def _reduction(passing: Passing) -> None:
    axes = _argument(passing, 1, "axis")
    lane, rank = passing.lanes[0], len(passing.shape())
    if axes is None or lane.axis in (gone := from_last(axes, rank)) or -rank - 1 in gone:
        raise NotFollowedError("it takes its channels together")
    kept = bool(_argument(passing, 2, "keepdims"))
    passing.give(lane.units, lane.axis if kept else lane.axis + sum(axis > lane.axis for axis in gone))


def _concat(passing: Passing) -> None:
    concatenate(passing, _argument(passing, 1, "axis"))


def _argument(passing: Passing, place: int, name: str) -> Any:
    """A setting of the call."""
    args, kwargs = passing.node.args, passing.node.kwargs
    return args[place] if len(args) > place else kwargs.get(name)


def _each(rule: Callable[[Passing], None], *names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


_RULES: dict[str, Rule] = {
    **_each(_arithmetic, *_ARITHMETIC),
    **_each(_elementwise, *_ELEMENTWISE),
    **_each(_reduction, *_REDUCTIONS),
    "concat": _concat,
}
