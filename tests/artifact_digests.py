"""Prints the sha256 of every artifact that the zoo's models become, to compare before and after a change that should change none.

    python tests/artifact_digests.py > before.txt
    …
    python tests/artifact_digests.py > after.txt && diff before.txt after.txt

An argument picks models by a part of their path. Digests are of one processor: calibration runs on it.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from edgecls.workflow import ConvertOptions, convert
from zoo_models import MODELS, ZooModel

SHARED = Path(__file__).parents[2] / "shared"
CALIBRATION_IMAGES = 32


def digests(model: ZooModel, folder: Path) -> list[str]:
    """A line for each artifact: digest, model, file."""
    manifest = convert(
        ConvertOptions(
            model=SHARED / "zoo" / model.path,
            weights=SHARED / "zoo" / model.weights if model.weights else None,
            preprocess=model.preprocess,
            calibration=model.data(SHARED / "data"),
            calibration_images=CALIBRATION_IMAGES,
            verify=False,
            output=folder,
        )
    )
    made = [folder / artifact.path for artifact in manifest.artifacts if artifact.path]
    return [f"{_digest(path)}  {model.id}/{path.name}" for path in sorted(made)]


def _digest(path: Path) -> str:
    """Of a file, or of all files of a package; its index names them by random ids, and is left out."""
    files = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file() and part.parent != path)
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in files)).hexdigest()


if __name__ == "__main__":
    for number, chosen in enumerate(each for each in MODELS if any(part in each.path for part in sys.argv[1:] or [""])):
        with tempfile.TemporaryDirectory() as scratch:
            print("\n".join(digests(chosen, Path(scratch) / str(number))), flush=True)  # noqa: T201
