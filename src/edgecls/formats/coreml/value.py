"""Values of an ML program: tensors, texts and lists, written into the program or kept in its weight file."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from edgecls.formats.coreml.blob import PACKED_BITS, Blob, read_blob, unpack
from edgecls.formats.coreml.layout import PackageFiles
from edgecls.formats.coreml.message import dtype_name
from edgecls.formats.reading import DamagedError, mapped

Constant: TypeAlias = "np.ndarray | str | list[Constant]"
_LARGEST_AXIS = 2**40


class ValueReader:
    """Reads the values of one package; each weight file is mapped once, when a value first needs it."""

    def __init__(self, files: PackageFiles) -> None:
        self._files = files
        self._mapped: dict[str, memoryview] = {}

    def blob(self, value: Any) -> Blob:
        """The constant in the weight file that a value names.

        Raises:
            DamagedError: no such file in the package, or no such constant in it.
        """
        name = value.blobFileValue.fileName
        if name not in self._mapped:
            self._mapped[name] = mapped(self._files.resolve(name))
        return read_blob(self._mapped[name], value.blobFileValue.offset, dtype_of(value), shape_of(value.type.tensorType))

    def read(self, value: Any) -> Constant:
        """What a `Value` message holds.

        Returns:
            Tensors as arrays of their dtype and shape, where possible views into the file; integers of less than a byte are unpacked to
            int8 or uint8. A text is a str. Lists are lists.

        Raises:
            DamagedError: the value is not sound, or of a type that NumPy does not have.
        """
        if value.WhichOneof("value") == "blobFileValue":
            blob = self.blob(value)
            if blob.values is None:
                raise DamagedError(f"a constant of {dtype_of(value)}, which cannot be read")
            return blob.values
        immediate = value.immediateValue
        kind = immediate.WhichOneof("value")
        if kind == "list":
            return [self.read(item) for item in immediate.list.values]
        if kind == "tuple":
            return [self.read(item) for item in immediate.tuple.values]
        if kind != "tensor":
            raise DamagedError(f"a value that is {kind or 'empty'}")
        return immediate_tensor(immediate.tensor, dtype_of(value), shape_of(value.type.tensorType))


def immediate_tensor(tensor: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray | str | list[Constant]:
    """Values written into the program: as floats, as integers, as texts, or as bytes (float16 and small integers)."""
    kind = tensor.WhichOneof("value")
    raw = getattr(tensor, kind).values if kind else ()
    if kind == "strings":
        return list(raw) if shape else raw[0] if raw else ""
    elements = math.prod(shape)
    try:
        if isinstance(raw, bytes) and dtype in PACKED_BITS:
            return unpack(raw, dtype, elements).reshape(shape)
        numpy_dtype = np.dtype({"string": "U"}.get(dtype, dtype))
        if isinstance(raw, bytes):
            return np.frombuffer(raw, numpy_dtype.newbyteorder("<")).reshape(shape)
        return np.asarray(raw, numpy_dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedError(f"a constant of shape {shape} in the program: {str(error)[:80]}") from None


def dtype_of(value: Any) -> str:
    """The dtype of a tensor's `Value`; `none` for what is no tensor."""
    if value.type.WhichOneof("type") != "tensorType":
        return "none"
    return known_dtype(value.type.tensorType.dataType)


def known_dtype(number: int) -> str:
    """The name of a `MIL.DataType`.

    Raises:
        DamagedError: there is no such type.
    """
    try:
        return dtype_name(number)
    except ValueError:
        raise DamagedError(f"a tensor of the unknown type {number}") from None


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape of a constant's `TensorType`."""
    shape = tuple(int(axis.constant.size) for axis in tensor.dimensions)
    if any(axis > _LARGEST_AXIS for axis in shape):
        raise DamagedError(f"a constant has the shape {shape[:16]}")
    return shape


def free_shape_of(tensor: Any) -> tuple[int | None, ...]:
    """The shape of a computed `TensorType`; None where an axis has no fixed size."""
    fixed = [axis.WhichOneof("dimension") == "constant" for axis in tensor.dimensions]
    return tuple(size if known else None for size, known in zip(shape_of(tensor), fixed, strict=True))
