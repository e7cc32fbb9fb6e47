"""ModelFile: what kind of model a path holds, told from its bytes alone; no framework is loaded and nothing is deserialized."""

from __future__ import annotations

import codecs
import contextlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgecls.errors import ModelFileError, UnsafeModelError, UnsupportedModelError
from edgecls.formats.tflite.schema import IDENTIFIER
from edgecls.models import tfjs
from edgecls.models.h5_reach import refuse_reach
from edgecls.models.h5_trial import H5_ERRORS, open_member, try_reading
from edgecls.system.archive_errors import ZIP_ERRORS
from edgecls.system.extras import require

Kind = Literal["h5", "keras", "json", "tfjs", "saved-model"]
Generation = Literal[2, 3]

_MODEL = "a Keras model (.h5, .keras, architecture .json, a SavedModel folder or model.json of TensorFlow.js)"
_SAVE_AGAIN = "save the whole model with model.save('model.keras')"
_FILE_OR_FOLDER = "give the model file, or a SavedModel folder"
_BEFORE_JSON = codecs.BOM_UTF8 + codecs.BOM_UTF16 + b"\0 \t\r\n"  # PowerShell writes what a program prints in UTF-16
_ARTIFACT = "give the Keras model it was made from; to measure or examine it use `edgecls bench` or `edgecls inspect`"
# First bytes of files people confuse with a model: (bytes, offset, what it is, remedy).
_LOOKALIKES: tuple[tuple[bytes, int, str, str], ...] = (
    (b"version https://git-lfs", 0, "a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
    (IDENTIFIER, 4, "a TFLite file", _ARTIFACT),
    (b"<", 0, "a text of markup, such as a web page", "download the file itself, not the page about it"),
    (b"\x1f\x8b", 0, "a gzip archive", "unpack it and give the model inside"),
    (b"\x93NUMPY", 0, "a NumPy array", "give the model"),
)
_H5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
_DEEPEST = 200  # levels of an architecture: a model within a model takes about six, and Python's stack holds some hundreds
_KERAS3_MARKS = ('"batch_shape"', '"DTypePolicy"')


@dataclass(frozen=True)
class ModelFile:
    """A path that holds a model.

    Attributes:
        path: the file or folder.
        kind: its container.
        generation: 2 or 3 for a Keras model; None for a SavedModel, whose generation its graph tells.
        keras_version: as written in the file, None where it holds none.
        config: the architecture as plain JSON values; None for a SavedModel.
        weights_manifest: of TensorFlow.js alone: model.json, which lists the weights beside it.
    """

    path: Path
    kind: Kind
    generation: Generation | None = None
    keras_version: str | None = None
    config: dict[str, Any] | None = None
    weights_manifest: dict[str, Any] | None = None


def examine(path: Path) -> ModelFile:
    """Tell what model a path holds.

    Raises:
        ModelFileError: missing, empty, truncated, of another type, weights without their architecture.
        UnsafeModelError: a Python pickle.
        UnsupportedModelError: a model of Keras 1.
        MissingExtraError: h5py is needed and not installed.
    """
    if path.is_dir():
        return _examine_folder(path)
    head = _head(path)
    if head.startswith(_H5_MAGIC):
        return _examine_h5(path)
    if head.startswith(b"PK\x03\x04"):
        return _examine_zip(path)
    if head.lstrip(_BEFORE_JSON)[:1] in (b"{", b'"'):
        return _examine_json(path)
    _refuse_lookalike(path, head)
    if path.name in ("saved_model.pb", "keras_metadata.pb"):
        raise ModelFileError("the folder of a SavedModel", f"{path}, one file of it", f"give the folder: {path.parent}")
    raise ModelFileError(_MODEL, f"{path}, whose content is none of them", _SAVE_AGAIN)


def is_legacy_weights(path: Path) -> bool:
    """Whether a weights file has the layout of Keras 2 (`weights.h5`); else it has that of Keras 3 (`.weights.h5`).

    Raises:
        ModelFileError: no readable HDF5 file, or one without weights.
    """
    if path.is_dir() or not _head(path).startswith(_H5_MAGIC):
        raise ModelFileError("a weights file in HDF5", f"{path}, which is none", "give the .h5 that model.save_weights() wrote")
    with _h5(path) as file:
        if "layer_names" in file.attrs or "model_weights" in file:
            return True
        if _has_keras3_weights(file):
            return False
    raise ModelFileError(
        "a weights file", f"{path}, an HDF5 file without weights of a Keras model", "give the model's own weights"
    )


def _examine_folder(path: Path) -> ModelFile:
    if (path / "saved_model.pb").is_file():
        return ModelFile(path, "saved-model")
    if (path / tfjs.MODEL_NAME).is_file():
        return _examine_json(path / tfjs.MODEL_NAME)
    inner = sorted(path.glob("*/saved_model.pb"))
    if inner:
        raise ModelFileError(
            "a SavedModel folder", f"{path}, which holds some in folders", f"give one of them, as {inner[-1].parent}"
        )
    if (path / "Manifest.json").is_file():
        raise ModelFileError(_MODEL, f"{path}, a Core ML package", _ARTIFACT)
    if (path / "config.json").is_file() and (path / "model.weights.h5").is_file():
        raise ModelFileError(_MODEL, f"{path}, an unpacked .keras archive", "zip the files in it into one .keras file")
    files = sorted(item for item in path.glob("*") if item.suffix.casefold() in _MODEL_SUFFIXES)  # as `edgecls train` leaves one
    remedy = f"give {'the file in it' if len(files) == 1 else 'one of those in it'}: {files[0]}" if files else _FILE_OR_FOLDER
    raise ModelFileError(_MODEL, f"the folder {path}, which has no saved_model.pb", remedy)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(256)
    except FileNotFoundError:
        raise ModelFileError(_MODEL, f"{path}, which does not exist", "check the path") from None
    except OSError as error:
        raise ModelFileError("a readable file", f"{path}: {error.strerror}", "check its permissions") from None
    if not head:
        raise ModelFileError(_MODEL, f"{path}, which is empty", "copy or download it again")
    return head


def _refuse_lookalike(path: Path, head: bytes) -> None:
    for mark, offset, what, remedy in _LOOKALIKES:
        if head[offset:].startswith(mark):
            raise ModelFileError(_MODEL, f"{path}, {what}", remedy)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise UnsafeModelError(
            _MODEL,
            f"{path}, a Python pickle, which runs code when it is read",
            "where it was made, save it with model.save('model.keras')",
        )
    if path.suffix == ".onnx":
        raise ModelFileError(_MODEL, f"{path}, an ONNX file", _ARTIFACT)


def _examine_h5(path: Path) -> ModelFile:
    with _h5(path) as file:
        raw = file.attrs.get("model_config")
        version = _text(file.attrs.get("keras_version"))
        if raw is None:
            _refuse_h5_without_architecture(path, file)
    config = _parse(_text(raw) or "", path)
    return ModelFile(path, "h5", _generation(version, config, path), version, config)


def _refuse_h5_without_architecture(path: Path, file: Any) -> None:
    if "layer_names" in file.attrs or _has_keras3_weights(file):
        raise ModelFileError(
            "a model",
            f"{path}, which holds weights alone, without the architecture",
            f"give the architecture (model.to_json()) and name the weights with it: architecture.json --weights {path.name}; "
            "or save the whole model with model.save('model.keras')",
        )
    raise ModelFileError(_MODEL, f"{path}, an HDF5 file that Keras did not write", _SAVE_AGAIN)


def _has_keras3_weights(file: Any) -> bool:
    return any(name in file for name in ("layers", "_layer_checkpoint_dependencies", "vars", "optimizer"))


@contextlib.contextmanager
def _h5(path: Path, archive: zipfile.ZipFile | None = None, member: str = "") -> Iterator[Any]:
    """An HDF5 file, or a member of an archive, opened once it is certain that it can be read and its contents are its own.

    Raises:
        ModelFileError: it is damaged, wherever it is read, or reaches other files.
    """
    h5py = require("h5py")
    try_reading(path, member)
    try:
        with open_member(archive, member) if archive else contextlib.nullcontext(path) as source, h5py.File(source, "r") as file:
            refuse_reach(file, path)
            yield file
    except H5_ERRORS as error:
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise ModelFileError("a whole HDF5 file", f"{path}, which is {reason}", "copy or download it again") from None


def _examine_zip(path: Path) -> ModelFile:
    again = "copy or download it again"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise ModelFileError("a .keras archive", f"{path}, which holds two files of one name", _SAVE_AGAIN)
            if "config.json" not in names:
                raise ModelFileError(
                    _MODEL, f"{path}, a zip archive without config.json, no .keras file", _advice_on_archive(names)
                )
            damaged = archive.testzip()
            if damaged is not None:
                raise ModelFileError("a whole .keras archive", f"{path}, whose {damaged} is damaged", again)
            config = _parse(archive.read("config.json").decode(errors="replace"), path)
            metadata = _parse(archive.read("metadata.json").decode(errors="replace"), path) if "metadata.json" in names else {}
            for name in (name for name in names if name.endswith(".h5")):
                with _h5(path, archive, name):
                    pass  # opened to be examined
    except ZIP_ERRORS as error:
        raise ModelFileError("a whole .keras archive", f"{path}, which is truncated or damaged ({error})", again) from None
    if "model.weights.h5" not in names:
        raise ModelFileError("a .keras archive with weights", f"{path}, which has no model.weights.h5", _SAVE_AGAIN)
    version = metadata.get("keras_version")
    version = version if isinstance(version, str) else None
    return ModelFile(path, "keras", _generation(version, config, path), version, config)


def _advice_on_archive(names: list[str]) -> str:
    """What to do with an archive that is no .keras file, but may hold one or another model."""
    plain = sorted(name.replace("\\", "/") for name in names if not name.startswith("__MACOSX/"))
    packed = {name.rpartition("/")[0] for name in plain if name.endswith("config.json")}
    if any(f"{folder}/model.weights.h5" in plain for folder in packed):
        return "unpack it, and zip the files in it, not their folder, into one .keras file"
    folders = [name for name in plain if name.rpartition("/")[2] in ("saved_model.pb", tfjs.MODEL_NAME)]
    files = [name for name in plain if name.endswith(_MODEL_SUFFIXES)]
    if not folders + files:
        return _SAVE_AGAIN
    inner = folders[0].rpartition("/")[0] if folders else files[0]
    return f"unpack it and give the model inside: {inner[:200]}" if inner else "unpack it and give the folder"


def _examine_json(path: Path) -> ModelFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError("an architecture in JSON", f"{path}: {error}", "write it again with model.to_json()") from None
    config = _parse(content, path)
    if tfjs.is_tfjs(config):
        architecture, version = tfjs.read_architecture(config, path)
        tfjs.shard_paths(config, path)
        return ModelFile(path, "tfjs", _generation(version, architecture, path), version, architecture, config)
    if "class_name" not in config or "config" not in config:
        raise ModelFileError("an architecture that model.to_json() wrote", f"{path}, JSON of something else", _SAVE_AGAIN)
    version = config.get("keras_version")
    version = version if isinstance(version, str) else None
    return ModelFile(path, "json", _generation(version, config, path), version, config)


def _parse(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        config = json.loads(text)
        if isinstance(config, str):  # of json.dump(model.to_json(), file): a text in a text
            config = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise ModelFileError("an architecture in JSON", f"{path}, where it cannot be read: {error}", _SAVE_AGAIN) from None
    if not isinstance(config, dict):
        raise ModelFileError("an architecture in JSON", f"{path}, where it is a {type(config).__name__}", _SAVE_AGAIN)
    if _is_deeper(config, _DEEPEST):
        raise ModelFileError("an architecture in JSON", f"{path}, where it has more than {_DEEPEST} levels", _SAVE_AGAIN)
    return config


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        level = [part for part in level if isinstance(part, dict | list)]
    return bool(level)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def _generation(version: str | None, config: dict[str, Any], path: Path) -> Generation:
    """2 or 3, from the version written in the file; without one, from fields only Keras 3 writes."""
    major = (version or "").partition(".")[0]
    if major == "1":
        raise UnsupportedModelError(
            "a model of Keras 2 or 3",
            f"{path}, written by Keras {version}",
            "open it with Keras 2.2 and save it again from there",
        )
    if major.isdigit():
        return 2 if major == "2" else 3
    text = json.dumps(config)
    return 3 if any(mark in text for mark in _KERAS3_MARKS) else 2
