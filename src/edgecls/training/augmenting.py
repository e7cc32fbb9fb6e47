"""Augmenter: Keras' own layers that change images at random, the same for the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecls.records.training import Augmenting
from edgecls.system.extras import require

_FLIPS = {"horizontal": "horizontal", "vertical": "vertical", "both": "horizontal_and_vertical"}
_LEVELS = (0.0, 255.0)


class Augmenter:
    """Changes batches of images [n, H, W, C], 0..255, one after another.

    Args:
        recipe: what is changed, and how much.
        seeds: whole numbers; every layer draws from them in a sequence of its own.
    """

    def __init__(self, recipe: Augmenting, seeds: Sequence[int]) -> None:
        generator = np.random.default_rng([*seeds, 1])
        self._layers = _layers(recipe, lambda: int(generator.integers(2**31)))

    def __call__(self, images: Any) -> Any:
        """Changed images, float32, within 0..255."""
        for layer in self._layers:
            images = layer(images, training=True)
        return require("tensorflow").clip_by_value(images, *_LEVELS)


def _layers(recipe: Augmenting, seed: Any) -> list[Any]:
    layers = require("keras").layers
    edge = {"fill_mode": "nearest"}
    made = []
    if recipe.flip:
        made.append(layers.RandomFlip(_FLIPS[recipe.flip], seed=seed()))
    if recipe.rotation:
        made.append(layers.RandomRotation(recipe.rotation / 360, seed=seed(), **edge))
    if recipe.shift:
        made.append(layers.RandomTranslation(recipe.shift, recipe.shift, seed=seed(), **edge))
    if recipe.zoom:
        made.append(layers.RandomZoom(recipe.zoom, seed=seed(), **edge))
    if recipe.shear:
        made.append(layers.RandomShear(recipe.shear, recipe.shear, seed=seed(), **edge))
    if recipe.brightness:
        made.append(layers.RandomBrightness(recipe.brightness, _LEVELS, seed=seed()))
    if recipe.contrast:
        made.append(layers.RandomContrast(recipe.contrast, _LEVELS, seed=seed()))
    return made
