"""Additions: the sums of activations in a TFLite model, with scales at which XNNPACK and ONNX Runtime agree; see `scales`."""

from __future__ import annotations

from collections.abc import Mapping

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import disagreements, settled_sum, widened

SAME_PARAMETERS = (
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
    "PAD",
    "PADV2",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "STRIDED_SLICE",
    "SLICE",
)  # operations whose output has the scale of their input
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_MOST_WIDENED = 8  # float16 numbers, 1/128 of a range at most. Of 400 random sums pairs were left in 86; with this, in 6.


class Additions:
    """The sums of two activations in a float TFLite model.

    Args:
        graph: of a float32 model.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        self._sums: list[tuple[str, str, str]] = []
        self._free: set[str] = set()  # what a layer makes for one sum alone: its scale may be any
        origin: dict[str, str] = {}  # tensor -> the one whose scale it has
        for operation in graph.operations:
            operands = [graph.names[tensor] for tensor in operation.operands if tensor >= 0]
            if operation.kind in SAME_PARAMETERS:
                origin[graph.names[operation.output]] = origin.get(operands[0], operands[0])
            elif operation.kind == "ADD":
                first, second = (origin.get(name, name) for name in operands)
                self._sums.append((first, second, graph.names[operation.output]))
                self._free |= {graph.names[tensor] for tensor in operation.inputs if _is_free(graph, tensor)}

    def settle(self, ranges: Mapping[str, Range]) -> dict[str, Range]:
        """The same ranges, those of sums widened where that lets both engines agree, and where it does not, what is added too.

        Args:
            ranges: of every activation by its tensor's name; each contains zero and is not a point.
        """
        settled = dict(ranges)
        for first, second, total in self._sums:  # in order: a sum may be added to again
            if first in settled and second in settled and total in settled:
                free = next((name for name in (first, second) if name in self._free), None)
                settled |= settled_together(settled, (first, second, total), free)
        return settled


def settled_together(ranges: Mapping[str, Range], names: tuple[str, str, str], free: str | None) -> dict[str, Range]:
    """Ranges of one sum's tensors, of fewest pairs of codes that engines disagree on.

    Args:
        names: of both summands and the sum.
        free: the summand whose range may be widened as well.
    """
    first, second, total = names
    best, fewest = {}, None
    tried = dict(ranges)
    for _ in range(1 + (_MOST_WIDENED if free else 0)):
        found = settled_sum(tried[first], tried[second], ranges[total])
        left = disagreements(tried[first], tried[second], found)
        if fewest is None or left < fewest:
            best, fewest = {first: tried[first], second: tried[second], total: found}, left
        if not left or free is None:
            break
        tried[free] = widened(tried[free])
    return best


def _is_free(graph: TFLiteGraph, tensor: int) -> bool:
    place = graph.makers.get(tensor)
    return place is not None and graph.operations[place].kind in _WEIGHTED and len(graph.takers[tensor]) == 1
