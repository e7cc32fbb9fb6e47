"""The weights of an ML program: float constants, and those that `constexpr_*` operations unpack from integers, tables and masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgecls.formats.coreml.blob import PACKED_BITS, unpack
from edgecls.formats.coreml.value import ValueReader, dtype_of, shape_of
from edgecls.formats.reading import DamagedError
from edgecls.formats.weights import Weight

FLOATS = {"float16", "float32", "float64", "bfloat16"}
_NO_POINTS = np.zeros(0, np.int64)


def read_weights(values: ValueReader, operations: Any) -> Iterator[tuple[str, Weight]]:
    """(name, weight) of every constant that stands for float values, whatever packs it."""
    parts: dict[str, tuple[Weight, tuple[int, ...]]] = {}
    for operation in operations:
        read = _READERS.get(operation.type)
        made = read(_Unpacking(values, operation, parts)) if read else None
        if made is None:
            continue
        name = operation.outputs[-1].name
        parts[name] = made, shape_of(operation.outputs[-1].type.tensorType)
        if len(operation.outputs) == 1:  # not mask and nonzero weights, which a `constexpr_sparse_to_dense` behind it takes
            yield name, made


def constant_weight(values: ValueReader, value: Any) -> Weight | None:
    """A constant of one axis or more, in the weight file or in the program itself; None for a single number."""
    dtype, shape = dtype_of(value), shape_of(value.type.tensorType)
    elements = _size(shape)
    if value.WhichOneof("value") == "blobFileValue":
        blob = values.blob(value)
        size, stored = blob.size_bytes, blob.stored
    elif shape:
        found = np.asarray(values.read(value))
        size, stored = found.nbytes, None if dtype in PACKED_BITS else found
    else:
        return None

    def count_zeros() -> int:
        return elements - int(np.count_nonzero(np.asarray(values.read(value))))

    return Weight(dtype, elements, size, len(shape), stored, _NO_POINTS, 0, count_zeros if dtype in PACKED_BITS else None)


def parameters(operation: Any) -> dict[str, Any]:
    """The constants a constexpr operation holds itself: attributes up to iOS 17, bound inputs since."""
    bound = {name: item.arguments[0].value for name, item in operation.inputs.items() if item.arguments and not _source(item)}
    return {**bound, **dict(operation.attributes.items())}


def _source(argument: Any) -> str:
    """The name of the operation's output that an argument is bound to; empty where it holds a constant itself."""
    return argument.arguments[0].name if argument.arguments else ""


@dataclass(frozen=True)
class _Unpacking:
    """One operation that makes a constant. Each method reads one type of operation, and gives None where it makes no float constant.

    Attributes:
        parts: what operations before it made, with its shape: nonzero weights, quantized tables, palettes with a scale.
    """

    values: ValueReader
    operation: Any
    parts: dict[str, tuple[Weight, tuple[int, ...]]]

    def const(self) -> Weight | None:
        value = dict(self.operation.attributes).get("val")
        return None if value is None or dtype_of(value) not in FLOATS else constant_weight(self.values, value)

    def cast(self) -> Weight:
        return self._weight("source_val")

    def affine(self) -> Weight:
        data, axis = self._weight("quantized_data"), int(self._array("axis"))
        axis += data.rank if axis < 0 else 0
        points = self._array("zero_point").astype(np.int64).reshape(-1)
        if points.size > 1 and (not 0 <= axis < data.rank or data.values is None or data.values.shape[axis] != points.size):
            raise DamagedError(f"constant {self._name} has {points.size} zero points on axis {axis}")
        return replace(data, zero_points=points, axis=axis)

    def blockwise(self) -> Weight:
        data = self._weight("data")
        if "offset" in parameters(self.operation) and self._array("offset").any():
            return replace(data, values=None, count_zeros=None)  # no code stands for zero in all blocks
        return data

    def table(self) -> Weight:
        tables, table_bytes = self._tables()
        if tables.ndim == 1:  # up to iOS 17: one table, indices packed into bytes
            packed, shape = self._weight("indices"), tuple(int(axis) for axis in self._array("shape").reshape(-1))
            bits, elements = _index_bits(tables.size), _size(shape)
            if packed.elements != (elements * bits + 7) // 8:
                raise DamagedError(f"constant {self._name} of shape {shape} has {packed.elements} bytes of indices")

            def count_packed() -> int:
                packed_indices = self._array("indices")
                indices = packed_indices if bits == 8 else unpack(packed_indices.tobytes(), f"uint{bits}", elements)
                return _table_zeros(indices, tables)

            return _of_table(replace(packed, elements=elements, rank=len(shape)), table_bytes, bits, count_packed)
        indices, vector = self._weight("indices"), int(tables.shape[-1])
        made = _of_table(
            indices, table_bytes, _index_bits(tables.shape[-2]), lambda: _grouped_zeros(self._array("indices"), tables) * vector
        )
        return made if vector == 1 else replace(made, elements=indices.elements * vector, count_zeros=None)

    def sparse(self) -> Weight:
        shape, nonzero = shape_of(self.operation.outputs[0].type.tensorType), self._weight("nonzero_data")
        if self._bound("nonzero_data"):
            return _spread(nonzero, shape)
        return _spread(replace(nonzero, size_bytes=nonzero.size_bytes + self._weight("mask").size_bytes), shape)

    def sparse_table(self) -> Weight:
        (tables, table_bytes), indices = self._tables(), self._weight("indices_nonzero_data")
        made = _of_table(
            indices, table_bytes, _index_bits(tables.shape[-2]), None
        )  # a zero among nonzero weights is none that counts
        return replace(made, size_bytes=made.size_bytes + self._weight("indices_mask").size_bytes)

    def sparse_blockwise(self) -> Weight:
        data = self._weight("nonzero_data")
        return replace(data, size_bytes=data.size_bytes + self._weight("data_mask").size_bytes)

    def _tables(self) -> tuple[np.ndarray, int]:
        """The tables of a palette, and their bytes. Of quantized tables the codes, which are zero where the values are."""
        if not (source := self._bound("lut")):
            tables = self._array("lut")
            return tables, tables.nbytes
        codes, shape = self.parts[source]
        # Shifted codes, and those of less than a byte, are not looked into: no zeros are counted.
        tables = np.ones(shape, np.int8) if codes.values is None else codes.values.reshape(shape)
        return tables, codes.size_bytes

    def _bound(self, name: str) -> str:
        """The earlier operation's output that a parameter is given; empty where it is given a constant."""
        source = _source(self.operation.inputs[name]) if name in self.operation.inputs else ""
        if source and source not in self.parts:
            raise DamagedError(f"constant {self._name} takes {source[:80]!r}, which unpacks no weights")
        return source

    def _weight(self, name: str) -> Weight:
        if source := self._bound(name):
            return self.parts[source][0]
        value = parameters(self.operation).get(name)
        weight = None if value is None or dtype_of(value) == "none" else constant_weight(self.values, value)
        if weight is None:
            raise DamagedError(f"constant {self._name} has no {name}")
        return weight

    def _array(self, name: str) -> np.ndarray:
        value = parameters(self.operation).get(name)
        if value is None:
            raise DamagedError(f"constant {self._name} has no {name}")
        return np.asarray(self.values.read(value))

    @property
    def _name(self) -> str:
        return repr(self.operation.outputs[0].name[:80])


_READERS: dict[str, Callable[[_Unpacking], Weight | None]] = {
    "const": _Unpacking.const,
    "constexpr_cast": _Unpacking.cast,
    "constexpr_affine_dequantize": _Unpacking.affine,
    "constexpr_blockwise_shift_scale": _Unpacking.blockwise,
    "constexpr_lut_to_dense": _Unpacking.table,
    "constexpr_sparse_to_dense": _Unpacking.sparse,
    "constexpr_lut_to_sparse": _Unpacking.sparse_table,
    "constexpr_sparse_blockwise_shift_scale": _Unpacking.sparse_blockwise,
}


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _index_bits(entries: int) -> int:
    bits = int(entries).bit_length() - 1
    if entries != 2**bits or bits not in {*PACKED_BITS.values(), 8}:
        raise DamagedError(f"a table of {entries} values")
    return bits


def _of_table(indices: Weight, table_bytes: int, bits: int, count_zeros: Callable[[], int] | None) -> Weight:
    size = indices.size_bytes + table_bytes
    return replace(indices, dtype=f"palette{bits}", size_bytes=size, values=None, count_zeros=count_zeros)


def _spread(nonzero: Weight, shape: tuple[int, ...]) -> Weight:
    """The dense kernel whose nonzero weights these are."""
    elements = _size(shape)
    if nonzero.elements > elements:
        raise DamagedError(f"a sparse constant of shape {shape} has {nonzero.elements} nonzero values")

    def count_zeros() -> int:
        return elements - nonzero.elements + nonzero.zeros

    return Weight(f"sparse-{nonzero.dtype}", elements, nonzero.size_bytes, len(shape), None, _NO_POINTS, 0, count_zeros)


def _table_zeros(indices: np.ndarray, table: np.ndarray) -> int:
    """How many indices name an entry that is exactly zero."""
    zeros = np.flatnonzero(table == 0)
    return sum(int(np.count_nonzero(indices == entry)) for entry in zeros)


def _grouped_zeros(indices: np.ndarray, tables: np.ndarray) -> int:
    """The same for tables [groups along each axis …, entries, 1]."""
    rank, entries = indices.ndim, tables.shape[-2]
    groups = tables.shape[:rank]
    if tables.ndim != rank + 2 or any(length % parts for length, parts in zip(indices.shape, groups, strict=True)):
        raise DamagedError(f"tables of shape {tables.shape} for indices of shape {indices.shape}")
    split = [part for length, parts in zip(indices.shape, groups, strict=True) for part in (parts, length // parts)]
    order = [*range(0, 2 * rank, 2), *range(1, 2 * rank, 2)]
    each = indices.reshape(split).transpose(order).reshape(_size(groups), -1)
    return sum(_table_zeros(group, table) for group, table in zip(each, tables.reshape(-1, entries), strict=True))
