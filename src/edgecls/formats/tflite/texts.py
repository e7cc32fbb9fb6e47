"""What a .tflite says of itself in words: its description, signatures, buffers of metadata and TFLite Metadata."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgecls.formats.tflite import flatbuffer
from edgecls.formats.tflite.flatbuffer import Table
from edgecls.formats.tflite.schema import (
    METADATA_BUFFER,
    Model,
    ModelMetadata,
    Signature,
    SubGraphMetadata,
    TensorMap,
    TensorMetadata,
)
from edgecls.formats.tflite.tensors import StoredTensor
from edgecls.records.metadata import METADATA_KEY

_SHOWN = 2000  # longest metadata value, in characters


def read_texts(model: Table, named: dict[str, memoryview], tensors: Sequence[StoredTensor], path: Path) -> dict[str, str]:
    """The texts by name.

    Args:
        named: the buffers of metadata.
        tensors: of the first graph, which signatures speak of.
        path: the file, which may have a zip behind the model.
    """
    texts, packed = {}, _packed_names(path)
    if description := model.text(Model.DESCRIPTION):
        texts["description"] = description
    for signature in model.tables(Model.SIGNATURE_DEFS):
        texts[f"signature {signature.text(Signature.KEY)}"] = _signature_text(signature, tensors)
    for name, content in named.items():
        if name == METADATA_BUFFER:
            texts.update(_tflite_metadata(content, packed))
        elif name != METADATA_KEY:
            texts[name] = _readable(content)
    return {name: text[:_SHOWN] for name, text in texts.items()}


def _signature_text(signature: Table, tensors: Sequence[StoredTensor]) -> str:
    sides = []
    for field in (Signature.INPUTS, Signature.OUTPUTS):
        names = []
        for entry in signature.tables(field):
            index = entry.scalar(TensorMap.TENSOR, "I")
            tensor = tensors[index].name if index < len(tensors) else "?"
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


def _packed_names(path: Path) -> set[str]:
    """Names in the zip behind the model, where TFLite Metadata keeps its files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, struct.error):  # no such archive, or not a sound one
        return set()
