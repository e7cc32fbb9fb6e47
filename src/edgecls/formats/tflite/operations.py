"""The operations of a .tflite one by one, with what they take and give: for questions that a count of them does not answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.flatbuffer import Table
from edgecls.formats.tflite.schema import Model, Operator, OperatorCode, SubGraph
from edgecls.formats.tflite.tensors import UNPACKS, StoredTensor, operation_name, read_tensor


@dataclass(frozen=True)
class Operand:
    """What an operation takes or gives.

    Attributes:
        is_constant: whether the file holds its values, packed perhaps.
        integers: the values of an int32 or int64 constant, flat; None for any other.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_constant: bool
    integers: list[int] | None


@dataclass(frozen=True)
class StoredOperation:
    """One operation.

    Attributes:
        version: of the operation in TFLite's schema.
        inputs: in their order; None where one is left out.
        options: the table of its own settings.
    """

    kind: str
    version: int
    inputs: list[Operand | None]
    outputs: list[Operand]
    options: Table | None

    @property
    def name(self) -> str:
        """Of its first output."""
        return self.outputs[0].name if self.outputs else ""

    @property
    def unpacks_constants(self) -> bool:
        """Whether it makes constants of constants, which is done once, when the file is opened."""
        return self.kind in UNPACKS and all(operand is None or operand.is_constant for operand in self.inputs)

    @property
    def dtype(self) -> str:
        """Of what it computes with: the first input that is no constant, else the first."""
        given = [operand for operand in self.inputs if operand is not None]
        computed = [operand for operand in given if not operand.is_constant]
        return (computed or given or self.outputs)[0].dtype if (given or self.outputs) else "none"


def read_operations(path: Path) -> list[StoredOperation]:
    """The operations of all graphs of a .tflite.

    Raises:
        ArtifactError: missing or damaged.
    """
    data = mapped(path)
    try:
        model = tflite_schema.open_model(data)
        buffers = [tflite_schema.contents(data, buffer) for buffer in model.tables(Model.BUFFERS)]
        codes = [(operation_name(code), code.scalar(OperatorCode.VERSION, "i", 1)) for code in model.tables(Model.OPERATOR_CODES)]
        return [operation for graph in model.tables(Model.SUBGRAPHS) for operation in _graph(graph, buffers, codes)]
    except DamagedError as error:
        raise damaged(path, "tflite", error) from None


def _graph(graph: Table, buffers: list[memoryview], codes: list[tuple[str, int]]) -> list[StoredOperation]:
    operands = [_operand(read_tensor(tensor, buffers)) for tensor in graph.tables(SubGraph.TENSORS)]
    operations = []
    for table in graph.tables(SubGraph.OPERATORS):
        operations.append(operation := _operation(table, operands, codes))
        for index in table.array(Operator.OUTPUTS, "i4").tolist() if operation.unpacks_constants else ():
            operands[index] = replace(operands[index], is_constant=True)
    return operations


def _operation(table: Table, operands: list[Operand], codes: list[tuple[str, int]]) -> StoredOperation:
    code = table.scalar(Operator.CODE, "I")
    inputs, outputs = (table.array(field, "i4").tolist() for field in (Operator.INPUTS, Operator.OUTPUTS))
    if code >= len(codes) or any(not -1 <= index < len(operands) for index in (*inputs, *outputs)):
        raise DamagedError("an operation that refers to what is not there")
    kind, version = codes[code]
    return StoredOperation(
        kind,
        version,
        [None if index == -1 else operands[index] for index in inputs],
        [operands[index] for index in outputs if index != -1],
        table.table(Operator.OPTIONS),
    )


def _operand(tensor: StoredTensor) -> Operand:
    whole = tensor.data and tensor.dtype in ("int32", "int64")
    integers = np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).tolist() if whole else None
    return Operand(tensor.name, tensor.shape, tensor.dtype, bool(tensor.data), integers)
