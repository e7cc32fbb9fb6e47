"""JPEG files to measure on: photos in size and compressibility, without being anyone's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

_DIFFERENT = 40


def save_photos(folder: Path, count: int, size: tuple[int, int] = (500, 375), classes: int = 2) -> None:
    """Class folders of JPEGs, width x height; 40 different ones, the others are links to them."""
    generator = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"class_{index * classes // count}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index < _DIFFERENT:
            coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3)).astype(np.uint8)).resize(
                size, Image.Resampling.BICUBIC
            )
            noisy = np.asarray(coarse, np.float32) + generator.normal(0, 6, (size[1], size[0], 3))
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path, quality=85)
            first = folder / f"original_{index:02}"
            os.link(path, folder.parent / f"{folder.name}-{first.name}")
        else:
            os.link(folder.parent / f"{folder.name}-original_{index % _DIFFERENT:02}", path)
