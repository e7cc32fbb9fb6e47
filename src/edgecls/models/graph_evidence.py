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
_RESAMPLED = {"Slice", "ScaleAndTranslate", "AvgPool", "MaxPool"}  # as well: of values near one another
_SLICES = {"StridedSlice", "GatherV2", "Slice"}  # as channels are turned round by taking them one by one
_JOINS = {"Pack", "ConcatV2"}
_ARITHMETIC = {"Mul", "AddV2", "Add", "BiasAdd", "Sub", "RealDiv", "Div"}
_SIZE_ONLY = {"Shape", "Rank", "Size"}


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
    """Follow the image through arithmetic with constants until the first other operation."""
    nodes = {node.name: node for node in graph.node}
    consumers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            if not name.startswith("^"):  # order alone; inlined functions are full of it
                consumers[producer(name)].append(node)
    scale, offset = np.float64(1), np.float64(0)
    name = INPUT
    while True:
        node, before = _next(nodes, consumers, name)
        if node is None:
            return Scaling(np.asarray(scale), np.asarray(offset))
        if node.op in _ARITHMETIC:
            sources = [producer(item) for item in node.input]
            if sources.count(name) != 1:  # slices of the image with one another
                return Scaling(np.asarray(scale), np.asarray(offset))
            position = sources.index(name)
            other = constant_value(nodes, node.input[1 - position])
            if other is None or not _per_channel(other):
                return Scaling(np.asarray(scale), np.asarray(offset))
            scale, offset = _after(node.op, position, scale, offset, other.squeeze())
        elif node.op not in TF_SAME_VALUES | _RESAMPLED | _JOINS or producer(node.input[0]) not in before:
            return Scaling(np.asarray(scale), np.asarray(offset))
        name = node.name


def _next(nodes: dict[str, Any], consumers: dict[str, list[Any]], name: str) -> tuple[Any, set[str]]:
    """The one operation that takes the values named `name`, whole or put together again from slices, and the names it takes them
    under; None where they go several ways."""
    before = {name}
    following = _distinct(consumers[name])
    if len(following) > 1 and all(node.op in _SLICES for node in following):
        before = {node.name for node in following}
        following = _distinct([after for node in following for after in consumers[node.name]])
    return (following[0], before) if len(following) == 1 else (None, before)


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
