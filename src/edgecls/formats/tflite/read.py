"""What is in a .tflite, read in place and without TensorFlow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.formats.description import FileDescription, Layer
from edgecls.formats.embedded_record import parse_record
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.flatbuffer import Bytes, Table
from edgecls.formats.tflite.schema import Model, Operator, SubGraph
from edgecls.formats.tflite.tensors import FLOATS, INTEGERS, UNPACKS, StoredTensor, operation_name, read_tensor
from edgecls.formats.tflite.texts import read_texts
from edgecls.formats.weights import Weight, distinct_values_of, elements_by_dtype, layer_of, sparsity_of
from edgecls.records.artifact import Actual, FloatRemainder
from edgecls.records.metadata import METADATA_KEY

_NO_ARITHMETIC = {
    "QUANTIZE",
    "DEQUANTIZE",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
}  # cannot stay float: borders and moves
_REASONS = {  # why operations commonly stay float in a quantized file
    "SOFTMAX": "it keeps float resolution: its integer form has steps of 1/256",
    "LOGISTIC": "the last step to probabilities keeps float resolution",
    "CUSTOM": "a custom operation has no integer form here",
}
_OTHER_REASON = "the quantizer made no integer form of it"


@dataclass(frozen=True)
class _IndexedOperation:
    name: str
    inputs: list[int]
    outputs: list[int]


@dataclass(frozen=True)
class _TFLiteFile:
    tensors: list[StoredTensor]
    inputs: list[int]
    outputs: list[int]
    operations: list[_IndexedOperation]
    folded: dict[int, int]  # tensor -> the constant it is unpacked from, constants themselves included

    def activations(self, indices: list[int]) -> list[StoredTensor]:
        return [self.tensors[index] for index in indices if index not in self.folded]


def describe_tflite(path: Path) -> FileDescription:
    """Everything about a .tflite.

    Raises:
        ArtifactError: missing or damaged.
    """
    data = mapped(path)
    try:
        return _describe(data, path)
    except DamagedError as error:
        raise damaged(path, "tflite", error) from None


def _describe(data: memoryview, path: Path) -> FileDescription:
    model = tflite_schema.open_model(data)
    graphs = _graphs(data, model)
    if not graphs:
        raise DamagedError("it holds no graph")
    named = tflite_schema.metadata(data, model)
    record = named.get(METADATA_KEY)
    layers = _layers(graphs)
    inputs, outputs = (
        [graphs[0].tensors[index].info() for index in indices] for indices in (graphs[0].inputs, graphs[0].outputs)
    )
    return FileDescription(
        format=f"TFLite, schema {model.scalar(Model.VERSION, 'I')}",
        inputs=inputs,
        outputs=outputs,
        actual=_actual(graphs, layers),
        layers=[layer for layer, _ in layers],
        metadata=read_texts(model, named, graphs[0].tensors, path),
        record=None if record is None else parse_record(bytes(record), path),
        size_bytes=len(data),
    )


def _graphs(data: Bytes, model: Table) -> list[_TFLiteFile]:
    buffers = [tflite_schema.contents(data, buffer) for buffer in model.tables(Model.BUFFERS)]
    codes = [operation_name(code) for code in model.tables(Model.OPERATOR_CODES)]
    return [_graph(table, buffers, codes) for table in model.tables(Model.SUBGRAPHS)]


def _graph(table: Table, buffers: list[memoryview], codes: list[str]) -> _TFLiteFile:
    tensors = [read_tensor(tensor, buffers) for tensor in table.tables(SubGraph.TENSORS)]
    operations = []
    for operator in table.tables(SubGraph.OPERATORS):
        code = operator.scalar(Operator.CODE, "I")
        if code >= len(codes):
            raise DamagedError(f"an operation of kind {code} of {len(codes)}")
        inputs, outputs = (_indices(operator, field, len(tensors)) for field in (Operator.INPUTS, Operator.OUTPUTS))
        operations.append(_IndexedOperation(codes[code], inputs, outputs))
    folded = {index: index for index, tensor in enumerate(tensors) if tensor.data}
    for operation in operations:
        if operation.name in UNPACKS and operation.inputs and operation.inputs[0] in folded:
            folded.update(dict.fromkeys(operation.outputs, folded[operation.inputs[0]]))
    inputs, outputs = (_indices(table, field, len(tensors)) for field in (SubGraph.INPUTS, SubGraph.OUTPUTS))
    return _TFLiteFile(tensors, inputs, outputs, operations, folded)


def _indices(table: Table, field: int, count: int) -> list[int]:
    """Tensor indices; -1 stands for an input that is left out."""
    indices = [index for index in table.array(field, "i4").tolist() if index != -1]
    if any(not 0 <= index < count for index in indices):
        raise DamagedError(f"a tensor outside the {count} there are")
    return indices


def _weight(tensor: StoredTensor) -> Weight:
    values = None
    if tensor.bits in (8, 16, 32, 64) and tensor.dtype in {*FLOATS, *INTEGERS} - {"bfloat16"} and not tensor.sparse:
        values = np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)
    return Weight(tensor.dtype, tensor.elements, len(tensor.data), len(tensor.shape), values, tensor.zero_points, tensor.axis)


def _layers(graphs: list[_TFLiteFile]) -> list[tuple[Layer, list[Weight]]]:
    """Operations that carry weights. A constant is counted at its first use, an unpacked one where it is computed with."""
    found, seen = [], set()
    for graph in graphs:
        for operation in graph.operations:
            if operation.name in UNPACKS and not graph.activations(operation.outputs):
                continue
            weights = []
            for index in operation.inputs:
                tensor = graph.tensors[graph.folded[index]] if index in graph.folded else None
                if tensor is not None and tensor.is_weight and tensor.buffer not in seen:
                    seen.add(tensor.buffer)
                    weights.append(_weight(tensor))
            if weights:
                name = graph.tensors[operation.outputs[0]].name if operation.outputs else ""
                found.append((layer_of(name, operation.name, weights), weights))
    return found


def _actual(graphs: list[_TFLiteFile], layers: list[tuple[Layer, list[Weight]]]) -> Actual:
    weights = [weight for _, found in layers for weight in found]
    main = graphs[0]
    return Actual(
        weight_dtypes=elements_by_dtype(weights),
        activation_dtypes=dict(sum((_between(graph) for graph in graphs), Counter())),
        operations=dict(Counter(operation.name for graph in graphs for operation in graph.operations)),
        stayed_float=[remainder for graph in graphs for remainder in _stayed_float(graph)],
        sparsity=sparsity_of(weights),
        distinct_values=distinct_values_of(layers),
        input_dtype=main.tensors[main.inputs[0]].dtype if main.inputs else "none",
        output_dtype=main.tensors[main.outputs[0]].dtype if main.outputs else "none",
    )


def _between(graph: _TFLiteFile) -> Counter[str]:
    """dtypes of the tensors that one operation makes and another takes."""
    taken = {index for operation in graph.operations for index in operation.inputs}
    made = {index for operation in graph.operations for index in operation.outputs}
    return Counter(tensor.dtype for tensor in graph.activations(sorted(taken & made)))


def _stayed_float(graph: _TFLiteFile) -> list[FloatRemainder]:
    if INTEGERS & set(_between(graph)):
        remaining = [
            operation for operation in graph.operations if operation.name not in _NO_ARITHMETIC and _is_float(graph, operation)
        ]
        return [_remainder(graph, operation, _REASONS.get(operation.name, _OTHER_REASON)) for operation in remaining]
    if any(tensor.is_weight and tensor.bits <= 8 for tensor in graph.tensors):  # dynamic: integer weights, float activations
        return [
            _remainder(graph, operation, "its weights were left in float")
            for operation in graph.operations
            if any(_is_float_kernel(graph, index) for index in operation.inputs)
        ]
    return []


def _is_float(graph: _TFLiteFile, operation: _IndexedOperation) -> bool:
    tensors = graph.activations(operation.inputs) + graph.activations(operation.outputs)
    return bool(tensors) and all(tensor.dtype in FLOATS for tensor in tensors)


def _is_float_kernel(graph: _TFLiteFile, index: int) -> bool:
    if index not in graph.folded:
        return False
    tensor = graph.tensors[graph.folded[index]]
    return tensor.is_weight and tensor.dtype in FLOATS and len(tensor.shape) > 1


def _remainder(graph: _TFLiteFile, operation: _IndexedOperation, reason: str) -> FloatRemainder:
    name = graph.tensors[operation.outputs[0]].name if operation.outputs else ""
    return FloatRemainder(operation=operation.name, name=name, reason=reason)
