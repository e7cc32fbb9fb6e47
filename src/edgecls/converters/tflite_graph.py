"""The operations of a float TFLite model and what flows between them, for finding patterns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        inputs: the tensors it takes that are computed.
        constants: those that are not.
    """

    kind: str
    inputs: list[int]
    constants: list[int]
    output: int


class Graph:
    """The main graph of a model.

    Attributes:
        names, sizes: of each tensor.
        results: the tensors it gives.
    """

    def __init__(self, model: bytes) -> None:
        unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        graph = unpacked.subgraphs[0]
        kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
        self.names = [tensor.name.decode() for tensor in graph.tensors]
        self.sizes = [tuple(tensor.shape) if tensor.shape is not None else () for tensor in graph.tensors]
        self._tensors, self._buffers = graph.tensors, unpacked.buffers
        computed = {*graph.inputs, *(output for operator in graph.operators for output in operator.outputs)}
        self.operations = [
            Operation(
                kinds[codes[operator.opcodeIndex]],
                [index for index in operator.inputs if index in computed],
                [index for index in operator.inputs if index >= 0 and index not in computed],
                operator.outputs[0],
            )
            for operator in graph.operators
        ]
        self.results = set(graph.outputs)

    @cached_property
    def makers(self) -> dict[int, int]:
        """tensor -> place of the operation that makes it"""
        return {operation.output: place for place, operation in enumerate(self.operations)}

    @cached_property
    def takers(self) -> dict[int, list[int]]:
        """tensor -> places of the operations that take it"""
        found: dict[int, list[int]] = {}
        for place, operation in enumerate(self.operations):
            for tensor in operation.inputs:
                found.setdefault(tensor, []).append(place)
        return found

    def floats(self, tensor: int) -> np.ndarray:
        """The values of a float32 constant; none of any other."""
        data = self._buffers[self._tensors[tensor].buffer].data
        if data is None or self._tensors[tensor].type != schema.TensorType.FLOAT32:
            return np.zeros(0, np.float32)
        return np.asarray(data, np.uint8).view(np.float32)

    def upwards(self, tensor: int, kinds: tuple[str, ...]) -> Iterator[int]:
        """The operations that make a tensor of one other and constants, from the last to the first."""
        while (place := self.makers.get(tensor)) is not None:
            operation = self.operations[place]
            if operation.kind not in kinds or len(operation.inputs) != 1:
                return
            yield place
            tensor = operation.inputs[0]
