"""The folder of an `.mlpackage`: a manifest, the model message and a file of weights."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

AUTHOR = "com.apple.CoreML"
MANIFEST_NAME, MODEL_NAME, WEIGHTS_FOLDER, WEIGHTS_NAME = "Manifest.json", "model.mlmodel", "weights", "weight.bin"


def write_package(path: Path, spec: Any, weights: Path) -> None:
    """Lay a package out. The same model gives the same bytes: the identifiers that Apple's writer draws are derived here.

    Args:
        path: the folder to make; it must not exist.
        spec: a Core ML `Model` message.
        weights: the weight file; it is copied. A program without large constants has none.

    Raises:
        OSError: the place cannot be written.
    """
    data = path / "Data" / AUTHOR
    (data / WEIGHTS_FOLDER).mkdir(parents=True)
    model = spec.SerializeToString(deterministic=True)
    (data / MODEL_NAME).write_bytes(model)
    if weights.exists():
        # copied by contents: the original keeps the narrow permissions of a temporary file, and may be needed for the next scheme
        (data / WEIGHTS_FOLDER / WEIGHTS_NAME).write_bytes(weights.read_bytes())
    manifest = _manifest(hashlib.sha256(model).hexdigest())
    (path / MANIFEST_NAME).write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _manifest(digest: str) -> dict[str, Any]:
    items = {MODEL_NAME: "CoreML Model Specification", WEIGHTS_FOLDER: "CoreML Model Weights"}
    entries = {
        _identifier(digest, name): {"author": AUTHOR, "description": text, "name": name, "path": f"{AUTHOR}/{name}"}
        for name, text in items.items()
    }
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": _identifier(digest, MODEL_NAME),
    }


def _identifier(digest: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{digest}/{name}"))
