"""Additions: the sums of activations in a TFLite model, with scales at which XNNPACK and ONNX Runtime agree; see `edgecls.scales`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecls.ranges import Range
from edgecls.scales import settled_sum

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
        model: float32 TFLite model.
    """

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        graph = unpacked.subgraphs[0]
        kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
        names = [tensor.name.decode() for tensor in graph.tensors]
        self._sums: list[tuple[str, str, str]] = []
        origin: dict[str, Any] = {}  # tensor -> the one whose scale it has
        for operator in graph.operators:
            kind, inputs = kinds[codes[operator.opcodeIndex]], [names[index] for index in operator.inputs if index >= 0]
            if kind in SAME_PARAMETERS:
                origin[names[operator.outputs[0]]] = origin.get(inputs[0], inputs[0])
            elif kind == "ADD":
                first, second = (origin.get(name, name) for name in inputs)
                self._sums.append((first, second, names[operator.outputs[0]]))

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
