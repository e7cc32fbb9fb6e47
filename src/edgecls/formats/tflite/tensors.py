"""The tensors of a .tflite and the names of its operations, read in place and checked."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from edgecls.formats.description import TensorInfo
from edgecls.formats.reading import DamagedError
from edgecls.formats.tflite.flatbuffer import Table
from edgecls.formats.tflite.schema import OperatorCode, Quantization, Tensor
from edgecls.records.codes import Codes

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
FLOATS = {"float16", "bfloat16", "float32", "float64"}
INTEGERS = {"int8", "uint8", "int16"}  # dtypes of quantized activations
UNPACKS = {"DEQUANTIZE", "DENSIFY"}  # of a constant these make a constant
_CUSTOM_CODE = 32


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
            bool(self.data) and self.dtype != "bool" and (self.dtype in FLOATS or 0 < self.bits <= 8 or self.zero_points.size > 0)
        )

    def info(self) -> TensorInfo:
        shape = [None if axis < 0 else axis for axis in self.signature]
        return TensorInfo(name=self.name, shape=shape, dtype=self.dtype, codes=self._codes())

    def _codes(self) -> Codes | None:
        """What its integers stand for; None where they are quantized by channel, or not at all."""
        if self.dtype not in INTEGERS or self.scales.size != 1 or self.zero_points.size > 1:
            return None
        return Codes(scale=float(self.scales[0]), zero_point=int(self.zero_points.sum()))


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
