"""Finds the record edgecls wrote into an artifact without reading the weights and without any framework."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError

from edgecls.errors import ArtifactError
from edgecls.formats.coreml.layout import locate
from edgecls.formats.files import detect
from edgecls.formats.onnx import protobuf
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.saved_model.layout import RECORD_PATH, version_folder
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.records.metadata import METADATA_KEY, ArtifactMetadata
from edgecls.records.record import first_fault

_ONNX_METADATA_PROPS = 14
_COREML_DESCRIPTION, _COREML_METADATA, _COREML_USER_DEFINED = 2, 100, 100


def read_record(path: Path) -> ArtifactMetadata | None:
    """The record inside a .tflite, .onnx or .mlpackage, None where there is none.

    Raises:
        ArtifactError: missing, damaged or of another type, or the record itself is damaged.
    """
    target = detect(path)
    try:
        match target:
            case "tflite":
                text = _from_tflite(mapped(path))
            case "onnx":
                text = _from_onnx(mapped(path))
            case "coreml":
                text = _from_coreml(mapped(locate(path).model))
            case "saved_model":
                file = version_folder(path) / RECORD_PATH
                text = file.read_bytes() if file.is_file() else None
            case _:
                assert_never(target)
    except DamagedError as error:
        raise damaged(path, target, error) from None
    return None if text is None else parse_record(text, path)


def parse_record(text: str | bytes, path: Path) -> ArtifactMetadata:
    """The record from its JSON."""
    try:
        return ArtifactMetadata.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(
            f"a record named {METADATA_KEY!r} as `edgecls convert` writes it",
            f"{path}: {first_fault(error)}",
            "convert the model anew, or remove the record",
        ) from None


def _from_tflite(data: memoryview) -> bytes | None:
    found = tflite_schema.metadata(data, tflite_schema.open_model(data)).get(METADATA_KEY)
    return None if found is None else bytes(found)


def _from_onnx(data: memoryview) -> str | None:
    props = (protobuf.pair(content) for number, content in protobuf.fields(data) if number == _ONNX_METADATA_PROPS)
    return dict(props).get(METADATA_KEY)


def _from_coreml(data: memoryview) -> str | None:
    pairs = map(protobuf.pair, _nested(data, (_COREML_DESCRIPTION, _COREML_METADATA, _COREML_USER_DEFINED)))
    return dict(pairs).get(METADATA_KEY)


def _nested(data: memoryview, numbers: tuple[int, ...]) -> Iterator[memoryview]:
    first, *rest = numbers
    for number, content in protobuf.fields(data):
        if number == first:
            yield from _nested(content, tuple(rest)) if rest else [content]
