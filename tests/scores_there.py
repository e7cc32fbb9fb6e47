"""Runs on any machine: scores of every artifact of a folder.

`PYTHON scores_there.py FOLDER IMAGES.npy SCORES.npz`; SCORES.npz has an array [N, classes] for each file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import edgecls


def main(folder: str, images: str, scores: str) -> None:
    """Ask every artifact about the images."""
    manifest, pixels = edgecls.Manifest.read(Path(folder)), np.load(images)
    answers = {
        artifact.path: edgecls.open_runner(Path(folder) / artifact.path).predict(pixels) for artifact in manifest.artifacts
    }
    np.savez(scores, allow_pickle=False, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
