"""Adds named buffers and a signature to a .tflite without taking it apart.

FlatBuffers refer forwards and relatively. So the edit is a new head, put in front of the old file: a new root table whose
unchanged fields refer into the old bytes, which stay as they are. That is one copy of the file, keeps the alignment of the
weights (the head's length is a multiple of 16) and keeps fields of schema versions we do not know. Only `Buffer.offset` of
buffers that lie behind the FlatBuffer counts from the file's begin and is raised by the head's length.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flatbuffers

from edgecls.formats.tflite.flatbuffer import Table
from edgecls.formats.tflite.schema import (
    IDENTIFIER,
    Buffer,
    Metadata,
    Model,
    Signature,
    SubGraph,
    TensorMap,
    open_model,
)

_ALIGNMENT = 16
_SIGNATURE_KEY = "serving_default"


@dataclass(frozen=True)
class SignatureNames:
    """How a signature calls the model's only input, and its outputs in their order."""

    input: str
    outputs: tuple[str, ...]


def edit(model: bytes, *, metadata: Mapping[str, bytes], signature: SignatureNames | None, tail: bytes = b"") -> bytes:
    """A copy of a .tflite with more in it.

    Args:
        model: the file's bytes.
        metadata: named buffers to add; those of the same name that are there already are replaced.
        signature: added when the file has none at all.
        tail: appended behind everything.

    Raises:
        DamagedError: `model` is no sound TFLite file.
    """
    root = open_model(model)
    head = _head(root, metadata, signature)
    return b"".join([head, *_shifted(model, root, len(head)), tail])


def pack_table(
    builder: flatbuffers.Builder, offsets: Mapping[int, int | None], scalars: Mapping[int, tuple[str, int]] | None = None
) -> int:
    """Write one table.

    Args:
        offsets: field number -> position of what it refers to, as the builder counts (from the end); None is left out.
        scalars: field number -> (`Uint8` or `Uint32`, value).
    """
    scalars = scalars or {}
    builder.StartObject(max([*offsets, *scalars], default=-1) + 1)
    for field, target in offsets.items():
        if target is not None:
            builder.PrependUOffsetTRelativeSlot(field, target, None)
    for field, (kind, value) in scalars.items():
        getattr(builder, f"Prepend{kind}Slot")(field, value, 0)
    return builder.EndObject()


def pack_offsets(builder: flatbuffers.Builder, targets: Sequence[int]) -> int:
    """Write a vector of tables or strings that are written already."""
    builder.StartVector(4, len(targets), 4)
    for target in reversed(targets):
        builder.PrependUOffsetTRelative(target)
    return builder.EndVector()


def _head(root: Table, metadata: Mapping[str, bytes], signature: SignatureNames | None) -> bytes:
    builder = flatbuffers.Builder(sum(map(len, metadata.values())) + 65536)
    builder.Prep(_ALIGNMENT, 0)  # makes the finished head's length a multiple of it
    fields: dict[int, int | None] = {field: _old(root.target(field)) for field in range(1, root.length)}
    buffers = [-table.position for table in root.tables(Model.BUFFERS)]
    entries = [-entry.position for entry in root.tables(Model.METADATA) if entry.text(Metadata.NAME) not in metadata]
    for name, content in metadata.items():
        label = builder.CreateString(name)
        entries.append(pack_table(builder, {Metadata.NAME: label}, {Metadata.BUFFER: ("Uint32", len(buffers))}))
        builder.Prep(_ALIGNMENT, len(content))
        buffers.append(pack_table(builder, {Buffer.DATA: builder.CreateByteVector(content)}))
    fields[Model.BUFFERS] = pack_offsets(builder, buffers)
    if entries:
        fields[Model.METADATA] = pack_offsets(builder, entries)
    if signature is not None and not root.tables(Model.SIGNATURE_DEFS):
        fields[Model.SIGNATURE_DEFS] = pack_offsets(builder, [_signature(builder, root, signature)])
    version: dict[int, tuple[str, int]] = {Model.VERSION: ("Uint32", root.scalar(Model.VERSION, "I"))}
    builder.Finish(pack_table(builder, fields, version), IDENTIFIER)
    return bytes(builder.Output())


def _old(position: int | None) -> int | None:
    """A position in the old file as the builder counts: from the head's end backwards, so what lies behind it is negative."""
    return None if position is None else -position


def _signature(builder: flatbuffers.Builder, root: Table, names: SignatureNames) -> int:
    main = root.tables(Model.SUBGRAPHS)[0]
    maps = []
    for called, field in (((names.input,), SubGraph.INPUTS), (names.outputs, SubGraph.OUTPUTS)):
        labels = [builder.CreateString(name) for name in called]
        tensors = [int(tensor) for tensor in main.array(field, "i4")]
        entries = [
            pack_table(builder, {TensorMap.NAME: label}, {TensorMap.TENSOR: ("Uint32", tensor)})
            for label, tensor in zip(labels, tensors, strict=False)
        ]
        maps.append(pack_offsets(builder, entries))
    key = builder.CreateString(_SIGNATURE_KEY)
    return pack_table(builder, {Signature.INPUTS: maps[0], Signature.OUTPUTS: maps[1], Signature.KEY: key})


def _shifted(model: bytes, root: Table, shift: int) -> list[bytes | memoryview]:
    """The old file in pieces, with the positions of buffers behind the FlatBuffer raised by `shift`; no piece is a copy."""
    view = memoryview(model)
    pieces: list[bytes | memoryview] = []
    done = 0
    behind = [table for table in root.tables(Model.BUFFERS) if table.scalar(Buffer.OFFSET, "Q") > 1]
    for table, where in sorted(((table, table.where(Buffer.OFFSET) or 0) for table in behind), key=lambda item: item[1]):
        pieces += [view[done:where], struct.pack("<Q", table.scalar(Buffer.OFFSET, "Q") + shift)]
        done = where + 8
    return [*pieces, view[done:]]
