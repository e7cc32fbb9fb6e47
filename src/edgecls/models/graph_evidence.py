"""What a frozen graph tells of its input: the scaling it does to pixels itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.models.freezing import INPUT
from edgecls.system.extras import require

TF_SAME_VALUES = {
    "Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Pad", "PadV2", "MirrorPad", "StridedSlice", "ReverseV2",
    "GatherV2", "ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic", "StopGradient", "PlaceholderWithDefault",
}  # fmt: skip
# As well: what takes some of the values, the mean of several, or each several times, as grey images become colour ones.
_SAME_RANGE = {
    "Slice", "ScaleAndTranslate", "AvgPool", "MaxPool", "Mean", "Tile", "BroadcastTo", "SpaceToDepth", "ExtractImagePatches",
}  # fmt: skip
_SLICES = {"StridedSlice", "GatherV2", "Slice"}  # as channels are turned round by taking them one by one
_PARTINGS = {"Split", "SplitV", "Unpack"}  # or all of them at once
_JOINS = {"Pack", "ConcatV2"}
_ARITHMETIC = {"Mul", "AddV2", "Add", "BiasAdd", "Sub", "RealDiv", "Div"}
_CLIPS = {"Maximum", "Minimum", "ClipByValue"}  # at constants: within them values are as they are
_SIZE_ONLY = {"Shape", "Rank", "Size"}
_MOST_FORKS = 3
_ROUNDING = 1e-3  # of weights whose sum is 1; those of TensorFlow's luma make 0.9999


@dataclass(frozen=True)
class Scaling:
    """What the graph does to a value before its first layer with weights: value * scale + offset, one per channel or one for all."""

    scale: np.ndarray
    offset: np.ndarray

    @property
    def is_none(self) -> bool:
        """Whether values enter the first layer as they are."""
        return bool(np.all(self.scale == 1) and np.all(self.offset == 0))


def input_scaling(graph: Any) -> Scaling:
    """Follow the image through arithmetic with constants until the first other operation.

    Where it goes several ways, as into the members of an ensemble, they tell if each of them scales it; the first does, where they differ.
    """
    nodes = {node.name: node for node in graph.node}
    consumers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            if not name.startswith("^"):  # order alone; inlined functions are full of it
                consumers[producer(name)].append(node)
    return _follow(nodes, consumers, INPUT, Scaling(np.ones(()), np.zeros(())), _MOST_FORKS)


def _follow(nodes: dict[str, Any], consumers: dict[str, list[Any]], name: str, before: Scaling, forks: int) -> Scaling:
    """The scaling behind the value `name`, which has been scaled as `before` says."""
    while True:
        following, names = _next(consumers, name)
        if len(following) != 1:
            break
        after = _through(nodes, following[0], names, before)
        if after is None:
            return before
        name, before = following[0].name, after
    if not before.is_none or forks == 0:
        return before
    ways = [(node, _through(nodes, node, names, before)) for node in following]
    found = [before if after is None else _follow(nodes, consumers, node.name, after, forks - 1) for node, after in ways]
    if any(scaling.is_none for scaling in found) or (names != {name} and not _agree(found)):  # channels weighed, as for luma
        return before
    return next(iter(found), before)


def _agree(found: list[Scaling]) -> bool:
    """Whether channels are scaled, alike or each around a mean of its own, and not weighed for a sum of them."""
    return all(np.array_equal(one.scale, found[0].scale) for one in found) or all(np.all(one.offset != 0) for one in found)


def _through(nodes: dict[str, Any], node: Any, names: set[str], before: Scaling) -> Scaling | None:
    """The scaling behind an operation on the values called `names`; None where it is not known to scale."""
    if node.op not in _ARITHMETIC:
        passes = node.op in TF_SAME_VALUES | _SAME_RANGE | _JOINS or _is_grey(nodes, node) or _is_clip(nodes, node)
        return before if passes and producer(node.input[0]) in names else None
    sources = [producer(item) for item in node.input]
    places = [place for place, source in enumerate(sources) if source in names]
    if len(places) != 1:  # slices of the image with one another
        return None
    other = constant_value(nodes, node.input[1 - places[0]])
    if other is None or not _per_channel(other) or not _fit(other, before):
        return None
    return Scaling(*map(np.asarray, _after(node.op, places[0], before.scale, before.offset, other.squeeze())))


def _next(consumers: dict[str, list[Any]], name: str) -> tuple[list[Any], set[str]]:
    """The operations that take the values named `name`, whole or put together again from slices, and the names they take them under."""
    names = {name}
    following = _distinct(consumers[name])
    if following and all(node.op in (_SLICES if len(following) > 1 else _PARTINGS) for node in following):
        names = {node.name for node in following}
        following = _distinct([after for node in following for after in consumers[node.name]])
    return following, names


def _distinct(found: list[Any]) -> list[Any]:
    return list({node.name: node for node in found if node.op not in _SIZE_ONLY}.values())


def _after(op: str, position: int, scale: Any, offset: Any, other: Any) -> tuple[Any, Any]:
    """Scale and offset after `value op other`, or `other op value` where the image is the second operand."""
    if op == "Mul":
        return scale * other, offset * other
    if op in ("RealDiv", "Div") and position == 0:
        return scale / other, offset / other
    if op == "Sub":
        return (scale, offset - other) if position == 0 else (-scale, other - offset)
    if op in ("RealDiv", "Div"):
        return np.float64(np.nan), np.float64(np.nan)
    return scale, offset + other


def _per_channel(value: np.ndarray) -> bool:
    """One value for all, or one per channel: a constant whose other axes have length 1."""
    return value.size == 1 or (value.ndim >= 1 and value.shape[-1] == value.size)


def _fit(value: np.ndarray, before: Scaling) -> bool:
    """Whether the channels of a constant are those that were scaled before: there may be more of them by now, or less."""
    return all(1 in (value.size, part.size) or value.size == part.size for part in (before.scale, before.offset))


def _is_clip(nodes: dict[str, Any], node: Any) -> bool:
    return node.op in _CLIPS and all(constant_value(nodes, name) is not None for name in node.input[1:])


def _is_grey(nodes: dict[str, Any], node: Any) -> bool:
    """Whether a product makes weighted means of the channels, as `rgb_to_grayscale` does: they have the range of the channels."""
    if node.op != "MatMul" or node.attr["transpose_a"].b or node.attr["transpose_b"].b:
        return False
    weights = constant_value(nodes, node.input[1])
    return weights is not None and bool(np.all(weights >= 0) and np.all(np.abs(weights.sum(axis=0) - 1) < _ROUNDING))


def constant_value(nodes: dict[str, Any], reference: str) -> np.ndarray | None:
    """The value of a constant, looking through what freezing puts around it and through roots of variances."""
    node = nodes[producer(reference)]
    if node.op == "Const":
        return np.asarray(require("tensorflow").make_ndarray(node.attr["value"].tensor), np.float64)
    if node.op in ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze"):
        return constant_value(nodes, node.input[0])
    if node.op in ("Sqrt", "Rsqrt"):
        inner = constant_value(nodes, node.input[0])
        return None if inner is None else np.sqrt(inner) if node.op == "Sqrt" else 1 / np.sqrt(inner)
    if node.op == "Maximum":
        first, second = (constant_value(nodes, name) for name in node.input)
        return None if first is None or second is None else np.maximum(first, second)
    return None


def producer(reference: str) -> str:
    return reference.lstrip("^").partition(":")[0]
