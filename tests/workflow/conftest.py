"""A small trained classifier and its images, written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terminal import Done


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call `edgecls` in this process, with streams of the operating system, which its bars want."""
    from edgecls.cli.app import app

    def call(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as caught:
            app([str(argument) for argument in arguments])
        streams = capfd.readouterr()
        return Done(int(caught.value.code or 0), streams.out, streams.err)

    return call


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
