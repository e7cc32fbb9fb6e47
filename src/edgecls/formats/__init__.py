"""What is in a produced file, read without any conversion framework."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from edgecls.errors import ArtifactError
from edgecls.formats.description import FileDescription, Layer, TensorInfo
from edgecls.formats.files import change_since_conversion, detect, file_sizes, require_unchanged, sha256
from edgecls.records.metadata import ArtifactMetadata

__all__ = [
    "FileDescription",
    "Layer",
    "TensorInfo",
    "change_since_conversion",
    "clips_sums",
    "describe",
    "detect",
    "file_sizes",
    "read_record",
    "require_unchanged",
    "sha256",
]


def describe(path: Path) -> FileDescription:
    """Everything about a .tflite, .onnx, .mlpackage or .savedmodel.

    Raises:
        ArtifactError: missing, damaged or of another type.
        MissingExtraError: an .mlpackage without the extra `coreml`.
    """
    target = detect(path)
    match target:
        case "tflite":
            from edgecls.formats.tflite.read import describe_tflite as describe_target
        case "onnx":
            from edgecls.formats.onnx.read import describe_onnx as describe_target
        case "saved_model":
            from edgecls.formats.saved_model.read import describe_saved_model as describe_target
        case "coreml":
            from edgecls.formats.coreml.read import describe_mlpackage as describe_target
        case _:
            assert_never(target)
    return describe_target(path)


def clips_sums(path: Path) -> bool:
    """Whether processors that clip sums of int8 products compute something else from an .onnx; False where it cannot be read."""
    try:
        return bool(describe(path).clipped_operations)
    except ArtifactError:
        return False


def read_record(path: Path) -> ArtifactMetadata | None:
    """The record edgecls wrote into an artifact, None in foreign files; in milliseconds, without reading the weights.

    Raises:
        ArtifactError: missing, damaged or of another type.
    """
    from edgecls.formats.embedded_record import read_record as read

    return read(path)
