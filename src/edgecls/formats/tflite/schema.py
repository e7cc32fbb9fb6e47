"""TFLite's schema, as far as it is read and edited here: field numbers of `schema.fbs` and what is behind them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from edgecls.formats.reading import DamagedError
from edgecls.formats.tflite import flatbuffer
from edgecls.formats.tflite.flatbuffer import Bytes, Table

IDENTIFIER = b"TFL3"
METADATA_BUFFER = "TFLITE_METADATA"  # where TFLite Metadata is


class Model(IntEnum):
    """Fields of the root table."""

    VERSION = 0
    OPERATOR_CODES = 1
    SUBGRAPHS = 2
    DESCRIPTION = 3
    BUFFERS = 4
    METADATA_BUFFER = 5
    METADATA = 6
    SIGNATURE_DEFS = 7
    EXTERNAL_BUFFER_GROUPS = 8
    EXTERNAL_BUFFERS = 9


class SubGraph(IntEnum):
    """Fields of a subgraph."""

    TENSORS = 0
    INPUTS = 1
    OUTPUTS = 2
    OPERATORS = 3


class Tensor(IntEnum):
    """Fields of a tensor."""

    SHAPE = 0
    TYPE = 1
    BUFFER = 2
    NAME = 3
    QUANTIZATION = 4
    SPARSITY = 6
    SHAPE_SIGNATURE = 7


class Quantization(IntEnum):
    """Fields of a tensor's quantization."""

    SCALE = 2
    ZERO_POINT = 3
    DIMENSION = 6


class Operator(IntEnum):
    """Fields of an operation."""

    CODE = 0
    INPUTS = 1
    OUTPUTS = 2
    OPTIONS = 4


class OperatorCode(IntEnum):
    """Fields of a kind of operation."""

    DEPRECATED_BUILTIN = 0
    CUSTOM = 1
    VERSION = 2
    BUILTIN = 3


class Buffer(IntEnum):
    """Fields of a buffer: its data inside the FlatBuffer, or where it is behind it, counted from the file's begin."""

    DATA = 0
    OFFSET = 1
    SIZE = 2


class Metadata(IntEnum):
    """Fields of a named buffer."""

    NAME = 0
    BUFFER = 1


class Signature(IntEnum):
    """Fields of a signature."""

    INPUTS = 0
    OUTPUTS = 1
    KEY = 2
    SUBGRAPH = 4


class TensorMap(IntEnum):
    """Fields of a signature's input or output."""

    NAME = 0
    TENSOR = 1


class ModelMetadata(IntEnum):
    """Fields of the root table of TFLite Metadata (`metadata_schema.fbs`)."""

    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPHS = 3
    AUTHOR = 4
    LICENSE = 5
    MIN_PARSER_VERSION = 7


class SubGraphMetadata(IntEnum):
    """Fields of a subgraph's metadata."""

    INPUTS = 2
    OUTPUTS = 3


class TensorMetadata(IntEnum):
    """Fields of an input's or output's metadata."""

    NAME = 0
    DESCRIPTION = 1
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    ASSOCIATED_FILES = 6


def open_model(data: Bytes) -> Table:
    """The root table.

    Raises:
        DamagedError: no TFLite file.
    """
    if bytes(data[4:8]) != IDENTIFIER:
        raise DamagedError(f"bytes 4 to 8 are {bytes(data[4:8])!r}, not {IDENTIFIER!r}")
    return flatbuffer.root(data)


def contents(data: Bytes, buffer: Table) -> memoryview:
    """A buffer's bytes, inside the FlatBuffer or behind it, as a view; empty where it has none."""
    inside = buffer.array(Buffer.DATA, "u1")
    if inside.size:
        return memoryview(inside)  # pyright: ignore[reportArgumentType]  (an array has a buffer; its stub says so from Python 3.12)
    offset, size = buffer.scalar(Buffer.OFFSET, "Q"), buffer.scalar(Buffer.SIZE, "Q")
    if offset <= 1:  # 0: none; 1 is the schema's placeholder
        return memoryview(b"")
    if offset + size > len(data):
        raise DamagedError(f"a buffer at byte {offset} reaches behind the end")
    return memoryview(data)[offset : offset + size]


def metadata(data: Bytes, model: Table) -> dict[str, memoryview]:
    """Named buffers of the model, as views."""
    return {name: contents(data, buffer) for name, buffer in _named(model)}


def _named(model: Table) -> Iterator[tuple[str, Table]]:
    buffers = model.tables(Model.BUFFERS)
    for entry in model.tables(Model.METADATA):
        index = entry.scalar(Metadata.BUFFER, "I")
        if index >= len(buffers):
            raise DamagedError(f"metadata in buffer {index} of {len(buffers)}")
        yield entry.text(Metadata.NAME), buffers[index]
