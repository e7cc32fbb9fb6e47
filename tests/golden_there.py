"""Runs on any machine: the pixels that it makes of golden pictures, and what the artifacts of a folder answer to them.

`PYTHON golden_there.py FOLDER PICTURES ANSWERS.npz`; ANSWERS.npz has `pixels` [N, H, W, C] and an array [N, classes] for each file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import edgecls
from edgecls.data import Skipped
from edgecls.data.decode import decode_image


def main(folder: str, pictures: str, answers: str) -> None:
    """Decode every picture as the artifacts' contract says, and ask every artifact."""
    manifest = edgecls.Manifest.read(Path(folder))
    decoded = [decode_image(path, manifest.image_spec) for path in golden_files(Path(pictures))]
    pixels = np.stack([found.pixels for found in decoded if not isinstance(found, Skipped)])
    scores = {artifact.path: edgecls.open_runner(Path(folder) / artifact.path).predict(pixels) for artifact in manifest.artifacts}
    np.savez(answers, allow_pickle=False, pixels=pixels, **scores)


def golden_files(pictures: Path) -> list[Path]:
    """The pictures of a golden set, in the order of their names, without those of their pixels."""
    return sorted(path for path in pictures.iterdir() if not path.name.endswith(".pixels.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
