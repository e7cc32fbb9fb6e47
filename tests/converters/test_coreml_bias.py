"""Core ML int8: a bias that the program adds in an operation of its own is added once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert


def rows(layers: Any) -> list[Any]:
    """Of a layer whose extra axis goes between the product and the bias."""
    return [layers.Reshape((12, 36)), layers.SeparableConv1D(8, 3, activation="relu", bias_initializer="random_uniform")]


def pixels(layers: Any) -> list[Any]:
    """Whose convolution has its bias itself."""
    return [layers.Conv2D(8, 3, activation="relu", bias_initializer="random_uniform")]


@pytest.mark.parametrize("first", [rows, pixels])
def test_scores(tmp_path: Path, first: Any) -> None:
    keras = require("keras")
    layers = keras.layers
    keras.utils.set_random_seed(0)
    last = [layers.Flatten(), layers.Dense(5)]
    model = keras.Sequential([layers.Input((12, 12, 3)), layers.Rescaling(1 / 255), *first(layers), *last])
    convolution = model.layers[-3]
    *kernels, bias = convolution.get_weights()
    convolution.set_weights([*kernels, 20 * bias])  # as large as what it is added to
    model.save(tmp_path / "m.keras")
    images = np.random.default_rng(0).integers(0, 256, (24, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    options = ConvertOptions(
        model=tmp_path / "m.keras",
        output=tmp_path / "made",
        targets=("tflite", "coreml"),
        schemes="int8",
        calibration=tmp_path / "images.npz",
    )
    manifest = convert(options)
    scores = [open_runner(tmp_path / "made" / item.path, spec=manifest.image_spec).predict(images) for item in manifest.artifacts]
    # an activation differs by a step of 1/255 of its range at most, where one of both stays float: some hundredths of the scores
    # together; a bias that is added twice moves them by their own size
    np.testing.assert_allclose(scores[0], scores[1], atol=0.1 * float(np.abs(scores[0]).max()), rtol=0)
