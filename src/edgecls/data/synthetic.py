"""Synthetic images: what is left to compare artifacts on when the user gave no images."""

from __future__ import annotations

import numpy as np

from edgecls.records.image_spec import ImageSpec


def synthetic_pixels(spec: ImageSpec, count: int, seed: int = 0) -> np.ndarray:
    """Smooth random colour fields, uint8 [count, H, W, C], the same for the same arguments.

    White noise would look alike to a classifier whatever the seed. Fields of random coarseness (2 to 9 cells a side) and random
    contrast differ in their large shapes, as photos do, and so spread over more classes.
    """
    from edgecls.data.resize import stretch_pixels

    generator = np.random.default_rng(seed)
    images = np.empty((count, spec.height, spec.width, spec.channels), np.uint8)
    for index in range(count):
        cells = int(generator.integers(2, 10))
        low, high = np.sort(generator.integers(0, 256, 2))
        grid = generator.integers(low, high + 1, (cells, cells, spec.channels)).astype(np.uint8)
        images[index] = stretch_pixels(grid, spec.height, spec.width)
    return images
