"""Augmentation: random changes of images before they are trained on."""

from __future__ import annotations

import numpy as np

from edgecls.data.resize import stretch_pixels
from edgecls.records.recipe import Augmentation


def augment(pixels: np.ndarray, recipe: Augmentation, generator: np.random.Generator) -> np.ndarray:
    """Changed copies of pixels [N, H, W, C], same shape and dtype; the same for the same state of the generator."""
    count, height, width, _ = pixels.shape
    flipped = generator.random(count) < 0.5
    zooms = 1 + generator.random(count) * recipe.zoom
    moves = generator.uniform(-1, 1, (count, 2)) * recipe.shift
    changed = np.empty_like(pixels)
    for image, target, flip, zoom, move in zip(pixels, changed, flipped, zooms, moves, strict=True):
        if recipe.zoom:
            image = _zoomed(image, zoom, generator)  # noqa: PLW2901 - one image through its changes
        if recipe.shift:
            down, right = np.rint(move * (height, width)).astype(int)
            rows = np.clip(np.arange(height) - down, 0, height - 1)
            columns = np.clip(np.arange(width) - right, 0, width - 1)
            image = image[rows[:, None], columns]  # noqa: PLW2901
        target[...] = image[:, ::-1] if recipe.flip and flip else image
    return changed


def _zoomed(image: np.ndarray, zoom: float, generator: np.random.Generator) -> np.ndarray:
    """A random part of the image, enlarged to its size."""
    height, width = image.shape[:2]
    part_height, part_width = max(1, round(height / zoom)), max(1, round(width / zoom))
    top = int(generator.integers(0, height - part_height + 1))
    left = int(generator.integers(0, width - part_width + 1))
    return stretch_pixels(image[top : top + part_height, left : left + part_width], height, width)
