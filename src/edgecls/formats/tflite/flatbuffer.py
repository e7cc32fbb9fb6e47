"""Reads FlatBuffers tables without trusting them.

The generated reader of TFLite's schema follows every offset it finds; in a damaged file such an offset leads anywhere, and a
length may say four billion. This one checks each step against the file's end and raises `DamagedError`. It reads in place:
arrays are views.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np

from edgecls.formats.reading import DamagedError

Bytes: TypeAlias = "bytes | bytearray | memoryview"
_OFFSET = struct.Struct("<I")
_SIGNED_OFFSET = struct.Struct("<i")
_SLOT = struct.Struct("<H")


def root(data: Bytes) -> Table:
    """The root table of a buffer."""
    return Table(data, _at(data, 0, _OFFSET))


class Table:
    """One table of a buffer. Fields are named by their number in the schema; an absent field reads as its default."""

    __slots__ = ("_data", "_fields", "position")

    def __init__(self, data: Bytes, position: int) -> None:
        start = position - _at(data, position, _SIGNED_OFFSET)
        length = _at(data, start, _SLOT)
        if length < 4 or length % 2 or start + length > len(data):
            raise DamagedError(f"a table at byte {position} has no valid index")
        self._data = data
        self.position = position
        self._fields = struct.unpack_from(f"<{length // 2 - 2}H", data, start + 4)

    @property
    def length(self) -> int:
        """Number of fields its writer knew, present or not."""
        return len(self._fields)

    def where(self, field: int) -> int | None:
        """Position of the field itself within the buffer, None where it is absent."""
        if field >= len(self._fields) or not self._fields[field]:
            return None
        return self.position + self._fields[field]

    def target(self, field: int) -> int | None:
        """Position of the table, vector or string a field refers to, None where it is absent."""
        position = self.where(field)
        return None if position is None else position + _at(self._data, position, _OFFSET)

    def scalar(self, field: int, code: str, default: int = 0) -> int:
        """A number; `code` as in `struct`."""
        position = self.where(field)
        return default if position is None else _at(self._data, position, struct.Struct("<" + code))

    def table(self, field: int) -> Table | None:
        """A table."""
        position = self.target(field)
        return None if position is None else Table(self._data, position)

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        start, count = self._vector(field, 4)
        offsets = struct.unpack_from(f"<{count}I", self._data, start)
        return [Table(self._data, start + 4 * index + offset) for index, offset in enumerate(offsets)]

    def array(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers, as a view."""
        kind = np.dtype(dtype).newbyteorder("<")
        start, count = self._vector(field, kind.itemsize)
        return np.frombuffer(self._data, kind, count, start)

    def raw(self, field: int) -> bytes:
        """A vector of bytes or a string, copied."""
        start, count = self._vector(field, 1)
        return bytes(self._data[start : start + count])

    def text(self, field: int) -> str:
        """A string; bytes that are no UTF-8 are replaced."""
        return self.raw(field).decode("utf-8", "replace")

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        position = self.target(field)
        if position is None:
            return 0, 0
        count = _at(self._data, position, _OFFSET)
        if position + 4 + count * item_bytes > len(self._data):
            raise DamagedError(f"a vector at byte {position} reaches behind the end")
        return position + 4, count


def _at(data: Bytes, position: int, kind: struct.Struct) -> int:
    if position < 0 or position + kind.size > len(data):
        raise DamagedError(f"byte {position} is not within the file's {len(data)} bytes")
    return kind.unpack_from(data, position)[0]
