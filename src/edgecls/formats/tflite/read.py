"""What is in a .tflite, read in place and without TensorFlow."""

from __future__ import annotations

import functools
import math
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.formats.description import FileDescription, Layer, TensorInfo
from edgecls.formats.embedded_record import parse_record
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.tflite import flatbuffer
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.flatbuffer import Bytes, Table
from edgecls.formats.tflite.schema import (
    METADATA_BUFFER,
    Model,
    ModelMetadata,
    Operator,
    OperatorCode,
    Quantization,
    Signature,
    SubGraph,
    SubGraphMetadata,
    Tensor,
    TensorMap,
    TensorMetadata,
)
from edgecls.formats.weights import Weight, distinct_values_of, elements_by_dtype, layer_of, sparsity_of
from edgecls.records.artifact import Actual, FloatRemainder
from edgecls.records.codes import Codes
from edgecls.records.metadata import METADATA_KEY

_DTYPES: dict[int, tuple[str, int]] = {  # schema's TensorType -> name, bits
    0: ("float32", 32),
    1: ("float16", 16),
    2: ("int32", 32),
    3: ("uint8", 8),
    4: ("int64", 64),
    5: ("string", 0),
    6: ("bool", 8),
    7: ("int16", 16),
    8: ("complex64", 64),
    9: ("int8", 8),
    10: ("float64", 64),
    11: ("complex128", 128),
    12: ("uint64", 64),
    13: ("resource", 0),
    14: ("variant", 0),
    15: ("uint32", 32),
    16: ("uint16", 16),
    17: ("int4", 4),
    18: ("bfloat16", 16),
    19: ("int2", 2),
    20: ("uint4", 4),
    21: ("float8_e4m3fn", 8),
    22: ("float8_e5m2", 8),
}
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_INTEGERS = {"int8", "uint8", "int16"}  # dtypes of quantized activations
_UNPACKS = {"DEQUANTIZE", "DENSIFY"}  # of a constant these make a constant
_NO_ARITHMETIC = {
    "QUANTIZE",
    "DEQUANTIZE",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
}  # cannot stay float: borders and moves
_CUSTOM_CODE = 32
_SHOWN = 2000  # longest metadata value, in characters
_REASONS = {  # why operations commonly stay float in a quantized file
    "SOFTMAX": "it keeps float resolution: its integer form has steps of 1/256",
    "LOGISTIC": "the last step to probabilities keeps float resolution",
    "CUSTOM": "a custom operation has no integer form here",
}
_OTHER_REASON = "the quantizer made no integer form of it"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the file. `data` is empty where it is no constant."""

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    bits: int
    buffer: int
    data: memoryview
    sparse: bool
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether a constant holds values: float or quantized. Plain integers are shapes, axes and paddings."""
        return (
            bool(self.data)
            and self.dtype != "bool"
            and (self.dtype in _FLOATS or 0 < self.bits <= 8 or self.zero_points.size > 0)
        )

    def info(self) -> TensorInfo:
        shape = [None if axis < 0 else axis for axis in self.signature]
        return TensorInfo(name=self.name, shape=shape, dtype=self.dtype, codes=self._codes())

    def _codes(self) -> Codes | None:
        """What its integers stand for; None where they are quantized by channel, or not at all."""
        if self.dtype not in _INTEGERS or self.scales.size != 1 or self.zero_points.size > 1:
            return None
        return Codes(scale=float(self.scales[0]), zero_point=int(self.zero_points.sum()))


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
        metadata=_texts(model, named, graphs[0], _packed_names(path)),
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
        if operation.name in _UNPACKS and operation.inputs and operation.inputs[0] in folded:
            folded.update(dict.fromkeys(operation.outputs, folded[operation.inputs[0]]))
    inputs, outputs = (_indices(table, field, len(tensors)) for field in (SubGraph.INPUTS, SubGraph.OUTPUTS))
    return _TFLiteFile(tensors, inputs, outputs, operations, folded)


def _indices(table: Table, field: int, count: int) -> list[int]:
    """Tensor indices; -1 stands for an input that is left out."""
    indices = [index for index in table.array(field, "i4").tolist() if index != -1]
    if any(not 0 <= index < count for index in indices):
        raise DamagedError(f"a tensor outside the {count} there are")
    return indices


def read_tensor(table: Table, buffers: list[memoryview]) -> StoredTensor:
    """A tensor of a graph, checked."""
    kind, index = table.scalar(Tensor.TYPE, "b"), table.scalar(Tensor.BUFFER, "I")
    if kind not in _DTYPES:
        raise DamagedError(f"a tensor of the unknown type {kind}")
    if index >= len(buffers):
        raise DamagedError(f"a tensor in buffer {index} of {len(buffers)}")
    quantization = table.table(Tensor.QUANTIZATION)
    shape = tuple(table.array(Tensor.SHAPE, "i4").tolist())
    signature = tuple(table.array(Tensor.SHAPE_SIGNATURE, "i4").tolist())
    dtype, bits = _DTYPES[kind]
    tensor = StoredTensor(
        name=table.text(Tensor.NAME),
        shape=shape,
        signature=signature or shape,
        dtype=dtype,
        bits=bits,
        buffer=index,
        data=buffers[index],
        sparse=table.table(Tensor.SPARSITY) is not None,
        scales=np.zeros(0, np.float32) if quantization is None else quantization.array(Quantization.SCALE, "f4"),
        zero_points=np.zeros(0, np.int64) if quantization is None else quantization.array(Quantization.ZERO_POINT, "i8"),
        axis=0 if quantization is None else quantization.scalar(Quantization.DIMENSION, "i"),
    )
    _check(tensor)
    return tensor


def _check(tensor: StoredTensor) -> None:
    if any(axis < 0 for axis in tensor.shape) or len(tensor.shape) > 16:
        raise DamagedError(f"tensor {tensor.name[:80]!r} has the shape {tensor.shape[:16]}")
    expected = (math.prod(tensor.shape) * tensor.bits + 7) // 8
    if tensor.data and tensor.bits and not tensor.sparse and expected != len(tensor.data):
        raise DamagedError(f"tensor {tensor.name[:80]!r} holds {len(tensor.data)} bytes instead of {expected}")
    per_channel = tensor.zero_points.size > 1
    if per_channel and (not 0 <= tensor.axis < len(tensor.shape) or tensor.shape[tensor.axis] != tensor.zero_points.size):
        raise DamagedError(f"tensor {tensor.name[:80]!r} has {tensor.zero_points.size} zero points on axis {tensor.axis}")


@functools.cache
def _builtin_names() -> dict[int, str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}


def operation_name(table: Table) -> str:
    """What the schema calls the operation of an operator code; a custom one has a name of its own."""
    code = max(table.scalar(OperatorCode.DEPRECATED_BUILTIN, "b"), table.scalar(OperatorCode.BUILTIN, "i"))
    if code == _CUSTOM_CODE:
        return table.text(OperatorCode.CUSTOM) or "CUSTOM"
    return _builtin_names().get(code, f"UNKNOWN_{code}")


def _weight(tensor: StoredTensor) -> Weight:
    values = None
    if tensor.bits in (8, 16, 32, 64) and tensor.dtype in {*_FLOATS, *_INTEGERS} - {"bfloat16"} and not tensor.sparse:
        values = np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)
    return Weight(tensor.dtype, tensor.elements, len(tensor.data), len(tensor.shape), values, tensor.zero_points, tensor.axis)


def _layers(graphs: list[_TFLiteFile]) -> list[tuple[Layer, list[Weight]]]:
    """Operations that carry weights. A constant is counted at its first use, an unpacked one where it is computed with."""
    found, seen = [], set()
    for graph in graphs:
        for operation in graph.operations:
            if operation.name in _UNPACKS and not graph.activations(operation.outputs):
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
    if _INTEGERS & set(_between(graph)):
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
    return bool(tensors) and all(tensor.dtype in _FLOATS for tensor in tensors)


def _is_float_kernel(graph: _TFLiteFile, index: int) -> bool:
    if index not in graph.folded:
        return False
    tensor = graph.tensors[graph.folded[index]]
    return tensor.is_weight and tensor.dtype in _FLOATS and len(tensor.shape) > 1


def _remainder(graph: _TFLiteFile, operation: _IndexedOperation, reason: str) -> FloatRemainder:
    name = graph.tensors[operation.outputs[0]].name if operation.outputs else ""
    return FloatRemainder(operation=operation.name, name=name, reason=reason)


def _packed_names(path: Path) -> set[str]:
    """Names in the zip behind the model, where TFLite Metadata keeps its files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, struct.error):  # no such archive, or not a sound one
        return set()


def _texts(model: Table, named: dict[str, memoryview], graph: _TFLiteFile, packed: set[str]) -> dict[str, str]:
    texts = {}
    if description := model.text(Model.DESCRIPTION):
        texts["description"] = description
    for signature in model.tables(Model.SIGNATURE_DEFS):
        texts[f"signature {signature.text(Signature.KEY)}"] = _signature_text(signature, graph)
    for name, content in named.items():
        if name == METADATA_BUFFER:
            texts.update(_tflite_metadata(content, packed))
        elif name != METADATA_KEY:
            texts[name] = _readable(content)
    return {name: text[:_SHOWN] for name, text in texts.items()}


def _signature_text(signature: Table, graph: _TFLiteFile) -> str:
    sides = []
    for field in (Signature.INPUTS, Signature.OUTPUTS):
        names = []
        for entry in signature.tables(field):
            index = entry.scalar(TensorMap.TENSOR, "I")
            tensor = graph.tensors[index].name if index < len(graph.tensors) else "?"
            names.append(f"{entry.text(TensorMap.NAME)} ({tensor})")
        sides.append(", ".join(names))
    return " -> ".join(sides)


def _readable(content: memoryview) -> str:
    text = bytes(content[: 4 * _SHOWN]).rstrip(b"\0").decode("utf-8", "replace")
    return text if text.isprintable() else f"{len(content)} bytes"


def _tflite_metadata(content: memoryview, packed: set[str]) -> dict[str, str]:
    """TFLite Metadata as text."""
    table = flatbuffer.root(content)
    fields = ("NAME", "DESCRIPTION", "VERSION", "AUTHOR", "LICENSE", "MIN_PARSER_VERSION")
    texts = {f"TFLite Metadata {name.lower()}": table.text(ModelMetadata[name]) for name in fields}
    for subgraph in table.tables(ModelMetadata.SUBGRAPHS):
        for side, field in (("input", SubGraphMetadata.INPUTS), ("output", SubGraphMetadata.OUTPUTS)):
            for tensor in subgraph.tables(field):
                texts[f"{side} {tensor.text(TensorMetadata.NAME)}"] = _tensor_text(tensor, packed)
    return {name: text for name, text in texts.items() if text}


def _tensor_text(tensor: Table, packed: set[str]) -> str:
    parts = [tensor.text(TensorMetadata.DESCRIPTION)]
    for unit in tensor.tables(TensorMetadata.PROCESS_UNITS):
        options = unit.table(1)
        if unit.scalar(0, "B") == 1 and options is not None:  # NormalizationOptions
            mean, std = (", ".join(f"{value:g}" for value in options.array(field, "f4")[:16]) for field in (0, 1))
            parts.append(f"mean {mean}; std {std}")
    names = [file.text(0) for file in tensor.tables(TensorMetadata.ASSOCIATED_FILES)]
    parts += [f"file {name}" if name in packed else f"file {name} (missing)" for name in names]
    return "; ".join(part for part in parts if part)
