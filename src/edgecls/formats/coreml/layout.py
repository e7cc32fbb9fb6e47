"""The folder of an `.mlpackage`: a manifest, the model message and a file of weights."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecls.errors import ArtifactError
from edgecls.formats.reading import DamagedError

AUTHOR = "com.apple.CoreML"
DATA_FOLDER, MANIFEST_NAME, MODEL_NAME, WEIGHTS_FOLDER, WEIGHTS_NAME = (
    "Data",
    "Manifest.json",
    "model.mlmodel",
    "weights",
    "weight.bin",
)
MODEL_SUFFIX = ".mlmodel"
MODEL_PATH = "@model_path/"  # how a program names the folder that its model message lies in
_TEXTS = {MODEL_NAME: "CoreML Model Specification", WEIGHTS_FOLDER: "CoreML Model Weights"}


@dataclass(frozen=True)
class PackageFiles:
    """Where the parts of a package lie.

    Attributes:
        package: the `.mlpackage` folder.
        model: the model message.
    """

    package: Path
    model: Path

    def resolve(self, name: str) -> Path:
        """The file a program names as `@model_path/weights/weight.bin`.

        Raises:
            DamagedError: it lies outside the package, or is missing.
        """
        if not name.startswith(MODEL_PATH):
            raise DamagedError(f"the weight file {name[:80]!r} is not named relative to the model")
        return _inside(self.package, self.model.parent / name.removeprefix(MODEL_PATH))


def locate(path: Path) -> PackageFiles:
    """Find a package's model message as its manifest says; an `.mlmodel` is that message alone, its weights in the folder beside it.

    Raises:
        ArtifactError: there is no package at `path`.
        DamagedError: the manifest is not sound, leads outside the package, or names a missing file.
    """
    if not path.exists():
        raise ArtifactError("an .mlpackage", f"{path}, which does not exist", "check the path")
    if path.is_file() and path.suffix.lower() == MODEL_SUFFIX:
        return PackageFiles(path.parent, path.resolve())
    if not (path / MANIFEST_NAME).is_file():
        found = "which has no Manifest.json" if path.is_dir() else "which is a file"
        raise ArtifactError("an .mlpackage (a folder)", f"{path}, {found}", "give the folder that `edgecls convert` wrote")
    manifest = _read_manifest(path)
    item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    return PackageFiles(path, _inside(path, path / DATA_FOLDER / item))


def write_package(path: Path, spec: Any, weights: Path) -> None:
    """Lay a package out. The same model gives the same bytes: the identifiers that Apple's writer draws are derived here.

    Args:
        path: the folder to make; it must not exist.
        spec: a Core ML `Model` message.
        weights: the weight file to copy. A program without large constants has none.

    Raises:
        OSError: the place cannot be written.
    """
    data = path / DATA_FOLDER / AUTHOR
    (data / WEIGHTS_FOLDER).mkdir(parents=True)
    model = spec.SerializeToString(deterministic=True)
    (data / MODEL_NAME).write_bytes(model)
    if weights.exists():
        (data / WEIGHTS_FOLDER / WEIGHTS_NAME).write_bytes(weights.read_bytes())  # not its narrow permissions of a temporary file
    manifest = _manifest(hashlib.sha256(model).hexdigest())
    (path / MANIFEST_NAME).write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST_NAME).read_bytes())
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST_NAME} names no root model ({type(error).__name__}: {str(error)[:80]})") from None
    if not isinstance(item, str) or not item:
        raise DamagedError(f"{MANIFEST_NAME} gives {item!r} as the path of the root model")
    return manifest


def _inside(package: Path, file: Path) -> Path:
    """The file with links followed, once it is certain that it lies in the package; nothing outside is looked at."""
    try:
        resolved, inside = file.resolve(), package.resolve()
        is_within = resolved.is_relative_to(inside)
        is_there = is_within and resolved.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a null byte, a circle of links
        resolved, is_within, is_there = package, True, False
    if not is_within:
        raise DamagedError(f"{_shown(package, file)} leads outside the package")
    if not is_there:
        raise DamagedError(f"{_shown(package, file)} is missing")
    return resolved


def _shown(package: Path, file: Path) -> str:
    return (str(file.relative_to(package)) if file.is_relative_to(package) else str(file))[:200].replace("\0", "\\0")


def _manifest(digest: str) -> dict[str, Any]:
    entries = {
        _identifier(digest, name): {"author": AUTHOR, "description": text, "name": name, "path": f"{AUTHOR}/{name}"}
        for name, text in _TEXTS.items()
    }
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": _identifier(digest, MODEL_NAME),
    }


def _identifier(digest: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{digest}/{name}"))
