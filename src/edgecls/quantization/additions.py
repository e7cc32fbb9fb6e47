"""Additions: the sums of activations in a TFLite model, with scales at which XNNPACK and ONNX Runtime agree; see `scales`."""

from __future__ import annotations

from collections.abc import Mapping

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import settled_sum

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


class Additions:
    """The sums of two activations in a float TFLite model.

    Args:
        graph: of a float32 model.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        self._sums: list[tuple[str, str, str]] = []
        origin: dict[str, str] = {}  # tensor -> the one whose scale it has
        for operation in graph.operations:
            operands = [graph.names[tensor] for tensor in operation.operands if tensor >= 0]
            if operation.kind in SAME_PARAMETERS:
                origin[graph.names[operation.output]] = origin.get(operands[0], operands[0])
            elif operation.kind == "ADD":
                first, second = (origin.get(name, name) for name in operands)
                self._sums.append((first, second, graph.names[operation.output]))

    def settle(self, ranges: Mapping[str, Range]) -> dict[str, Range]:
        """The same ranges, those of sums widened where that lets both engines agree.

        Args:
            ranges: of every activation by its tensor's name; each contains zero and is not a point.
        """
        settled = dict(ranges)
        for first, second, total in self._sums:  # in order: a sum may be added to again
            if first in settled and second in settled and total in settled:
                settled[total] = settled_sum(settled[first], settled[second], settled[total])
        return settled
