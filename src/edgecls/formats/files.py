"""Bytes of a file or a package: where they are, how many, how many after deflate, and their hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from edgecls.errors import ArtifactError
from edgecls.formats.tflite.schema import IDENTIFIER
from edgecls.records.artifact import MANIFEST_NAME, SUFFIXES, TARGETS, Artifact, Target
from edgecls.system.store import settle

_CHUNK = 1 << 20
_MODEL_SUFFIX = ".mlmodel"  # of a Core ML model without its package
_REMEDY = "give a .tflite, .onnx or .mlpackage that `edgecls convert` or another converter made"
_LFS = b"version https://git-lfs"
_HASH_SHOWN = 12  # digits of a sha256 that people are shown


def members(path: Path) -> list[Path]:
    """The file itself, or the files of a package sorted by their relative path; links to folders are followed, as class folders may be.

    Raises:
        ArtifactError: nothing there, or an empty folder.
    """
    if path.is_dir():
        found = sorted(_below(path), key=lambda item: item.relative_to(path).as_posix())
        if not found:
            raise ArtifactError("a file or a package", f"the empty folder {path}", _REMEDY)
        return found
    if not path.is_file():
        raise ArtifactError("a file or a package", f"{path}, which does not exist", "check the path")
    return [path]


def _below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The files in a folder and in those below it; none of one that cannot be opened, or that is a link to one of those `above`."""
    own = os.path.realpath(folder)
    if own in above:
        return
    with contextlib.suppress(PermissionError):
        for item in list(folder.iterdir()):
            if item.is_dir():
                yield from _below(item, above | {own})
            elif item.is_file():
                yield item


def file_sizes(path: Path) -> tuple[int, int]:
    """Bytes on disk and bytes after deflate (level 6, every file by itself, as a zip or an app archive holds them)."""
    size = compressed = 0
    for item in members(path):
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        for chunk in _chunks(item):
            size += len(chunk)
            compressed += len(deflate.compress(chunk))
        compressed += len(deflate.flush())
    return size, compressed


def sha256(path: Path) -> str:
    """Hash of a file's contents; of a package: of each file's relative path, length and contents, in sorted order."""
    digest = hashlib.sha256()
    for item in members(path):
        if item != path:
            digest.update(f"{item.relative_to(path).as_posix()}\0{item.stat().st_size}\0".encode())
        for chunk in _chunks(item):
            digest.update(chunk)
    return digest.hexdigest()


def change_since_conversion(path: Path, artifact: Artifact) -> str:
    """Why a file is no longer the one the manifest tells of; empty where it is."""
    try:
        size = sum(item.stat().st_size for item in members(path))
        if size != artifact.size_bytes:
            return f"changed since conversion: expected {artifact.size_bytes:,} bytes, found {size:,}"
        found = sha256(path)
    except (ArtifactError, OSError) as error:
        return f"cannot be read: {error.found if isinstance(error, ArtifactError) else error}"
    if found != artifact.sha256:
        return f"changed since conversion: expected sha256 {artifact.sha256[:_HASH_SHOWN]}…, found {found[:_HASH_SHOWN]}…"
    return ""


def require_unchanged(path: Path, artifact: Artifact) -> None:
    """Refuse a file that is no longer the one the manifest tells of.

    Raises:
        ArtifactError: it has changed, or cannot be read.
    """
    if reason := change_since_conversion(path, artifact):
        raise ArtifactError(f"{path} as its manifest tells of it", reason, "convert the model again")


def detect(path: Path) -> Target:
    """Which format a path holds: by its suffix, else by its first bytes.

    Raises:
        ArtifactError: missing, empty, a pointer of Git LFS, or none of the three formats.
    """
    settle(path.parent)
    if path.is_dir():
        if path.suffix.lower() == SUFFIXES["saved_model"]:
            return "saved_model"
        if (path / "Manifest.json").is_file():
            return "coreml"
        if any(item.name == MANIFEST_NAME for item in path.iterdir()):
            raise ArtifactError("one artifact", f"{path}, a folder of several", "name a file in it")
        raise ArtifactError("a .tflite, .onnx or .mlpackage", f"the folder {path}, which has no Manifest.json", _REMEDY)
    head = _head(path)
    by_suffix: Target | None = next((target for target in TARGETS if SUFFIXES[target] == path.suffix.lower()), None)
    if by_suffix in ("coreml", "saved_model"):
        raise ArtifactError(f"{SUFFIXES[by_suffix]}, which is a folder", f"{path}, which is a file", _REMEDY)
    if path.suffix.lower() == _MODEL_SUFFIX:
        return "coreml"
    if by_suffix is not None:
        return by_suffix
    if head[4:8] == IDENTIFIER:
        return "tflite"
    # ONNX has no magic number: a ModelProto begins with its field 1 (ir_version), a small varint
    if len(head) > 2 and head[0] == 0x08 and head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42):
        return "onnx"
    raise ArtifactError("a .tflite, .onnx or .mlpackage", f"{path}, which is none of them", _REMEDY)


def _head(path: Path) -> bytes:
    members(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise ArtifactError("a readable file", f"{path}: {error.strerror}", "check its permissions") from None
    if not head:
        raise ArtifactError("a .tflite, .onnx or .mlpackage", f"{path}, which is empty", _REMEDY)
    if head.startswith(_LFS):
        raise ArtifactError("a model file", f"{path}, which is a pointer of Git LFS", "fetch the file itself with `git lfs pull`")
    return head


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise ArtifactError("a readable file", f"{path}: {error.strerror}", "check its permissions") from None
