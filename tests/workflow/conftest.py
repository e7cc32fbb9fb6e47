"""A small trained classifier and its images, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> Path:
    """A Keras 3 classifier of 12x12 colour images into three classes, random weights."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("small") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def small_images(tmp_path_factory) -> Path:
    """An .npz of 40 labelled images for it."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, x=rng.integers(0, 256, (40, 12, 12, 3)).astype(np.uint8), y=np.arange(40) % 3)
    return path
