"""Trained ranges: what training for int8 left in a frozen graph. Its rounding is taken out; the ranges it rounded to are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecls.models.freezing import INPUT
from edgecls.system.extras import require

ROUNDING = "FakeQuantWithMinMax"  # begins the names of TensorFlow's operations that round
_STEPS = re.compile(r"(FakeQuant|MovingAvgQuantize|LastValueQuant|AllValuesQuantize).*|(cond|smart_cond)(_\d+)?")
_UNTRAINED = (-6.0, 6.0)  # where tensorflow-model-optimization begins; no training leaves a range just there


@dataclass(frozen=True)
class TrainedRange:
    """One activation that training for int8 rounded.

    Attributes:
        layer: whose scope it is in, with `:1`, `:2` … for further ones there.
        node: of the graph, which has its values.
    """

    layer: str
    node: str
    low: float
    high: float


def take_out_rounding(graph: Any) -> list[TrainedRange] | None:
    """Make every operation that rounds an Identity of its first input, in place.

    Returns:
        the 8-bit ranges of activations; None where nothing rounds. Those of weights are theirs at the last step, which says no more
        than the weights do.
    """
    rounding = [node for node in graph.node if node.op.startswith(ROUNDING)]
    if not rounding:
        return None
    nodes = {node.name: node for node in graph.node}
    varying = _varying(graph)
    found: list[TrainedRange] = []
    counts: dict[str, int] = {}
    for node in rounding:
        bounds = _bounds(node, nodes) if node.name in varying else None
        if bounds is not None:
            layer = _layer(node.name)
            number = counts[layer] = counts.get(layer, -1) + 1
            found.append(TrainedRange(f"{layer}:{number}" if number else layer, node.name, *bounds))
    for node in rounding:
        node.op = "Identity"
        del node.input[1:]
        node.attr.clear()
        node.attr["T"].type = require("tensorflow").float32.as_datatype_enum
    return found


def _varying(graph: Any) -> set[str]:
    """Names of the nodes that depend on the image."""
    takers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(_source(name), []).append(node.name)
    reached, waiting = {INPUT}, [INPUT]
    while waiting:
        new = set(takers.get(waiting.pop(), ())) - reached
        reached |= new
        waiting += new
    return reached


def _bounds(node: Any, nodes: Mapping[str, Any]) -> tuple[float, float] | None:
    """The range that a node rounds to; None where it is of other than eight bits, for each channel, or was never trained."""
    if node.attr["num_bits"].i != 8 or "PerChannel" in node.op:
        return None
    if "min" in node.attr:
        bounds = node.attr["min"].f, node.attr["max"].f
    else:
        low, high = (_constant(name, nodes) for name in node.input[1:3])
        if low is None or high is None:
            return None
        bounds = low, high
    return None if bounds == _UNTRAINED else bounds


def _constant(name: str, nodes: Mapping[str, Any]) -> float | None:
    """The number that an input always is; None where it is computed."""
    node = nodes[_source(name)]
    while node.op in ("Identity", "ReadVariableOp"):
        node = nodes[_source(node.input[0])]
    return float(require("tensorflow").make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else None


def _layer(node: str) -> str:
    """The innermost scope of a node's name that the rounding did not open itself."""
    scopes = [part for part in node.split("/") if not _STEPS.fullmatch(part)]
    return scopes[-1] if scopes else node


def _source(name: str) -> str:
    return name.lstrip("^").partition(":")[0]
