"""The weight file of an ML program: each constant behind a header of 64 bytes, which the program names by its offset."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from edgecls.formats.reading import DamagedError

_FILE_HEADER = struct.Struct("<II")  # number of constants, version of the layout
_HEADER = struct.Struct("<IIQQ")  # sentinel, dtype, bytes, offset of the values
_SENTINEL = 0xDEADBEEF
_VERSION = 2
_BITS = {
    "float16": 16,
    "float32": 32,
    "bfloat16": 16,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "int32": 32,
    "uint32": 32,
}
PACKED_BITS = {"int4": 4, "uint4": 4, "uint6": 6, "uint3": 3, "uint2": 2, "uint1": 1}  # integers of less than a byte
_BITS |= {**PACKED_BITS, "float8e4m3fn": 8, "float8e5m2": 8}
_NUMPY = {"float16", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32"}


@dataclass(frozen=True)
class Blob:
    """One constant of the file.

    Attributes:
        size_bytes: of the values, header and padding apart.
        raw: its bytes, a view into the file.
        dtype, shape: of the constant.
    """

    size_bytes: int
    raw: memoryview
    dtype: str
    shape: tuple[int, ...]

    @property
    def stored(self) -> np.ndarray | None:
        """The values as they are stored, a view into the file; None for dtypes that NumPy does not have."""
        if self.dtype not in _NUMPY:
            return None
        return np.frombuffer(self.raw, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)

    @property
    def values(self) -> np.ndarray | None:
        """The values, with integers of less than a byte unpacked; None for other dtypes that NumPy does not have."""
        if self.dtype not in PACKED_BITS:
            return self.stored
        return unpack(self.raw, self.dtype, int(np.prod(self.shape))).reshape(self.shape)


def read_blob(data: memoryview, offset: int, dtype: str, shape: tuple[int, ...]) -> Blob:
    """The constant whose header is at `offset`.

    Raises:
        DamagedError: no header there, or not as many bytes as dtype and shape need.
    """
    if len(data) < _FILE_HEADER.size or _FILE_HEADER.unpack_from(data)[1] != _VERSION:
        raise DamagedError(f"the weight file does not begin as one of version {_VERSION}")
    if not 0 < offset <= len(data) - _HEADER.size:
        raise DamagedError(f"a constant is said to be at byte {offset} of a weight file of {len(data)}")
    sentinel, _, size, start = _HEADER.unpack_from(data, offset)
    if sentinel != _SENTINEL:
        raise DamagedError(f"there is no constant at byte {offset} of the weight file")
    elements = math.prod(shape)
    if dtype not in _BITS or size != (elements * _BITS[dtype] + 7) // 8:
        raise DamagedError(f"a constant of {size} bytes is said to hold {elements} values of {dtype}")
    if start + size > len(data):
        raise DamagedError(f"the constant at byte {offset} reaches behind the end of the weight file ({len(data)} bytes)")
    return Blob(size, data[start : start + size], dtype, shape)


def unpack(raw: bytes | memoryview, dtype: str, elements: int) -> np.ndarray:
    """Integers of less than a byte, packed from the least significant bit on: int8 or uint8 [elements].

    Raises:
        ValueError: there are fewer bits.
    """
    bits = PACKED_BITS[dtype]
    each = np.unpackbits(np.frombuffer(raw, np.uint8), count=elements * bits, bitorder="little").reshape(elements, bits)
    values = np.packbits(each, axis=1, bitorder="little").reshape(elements)
    if dtype.startswith("u"):
        return values
    sign = 1 << (bits - 1)
    return ((values ^ sign).astype(np.int16) - sign).astype(np.int8)  # two's complement of `bits` bits
