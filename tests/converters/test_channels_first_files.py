"""A model with channels first in every format: what the files take, and that they answer as the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecls.formats import describe
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert

FIRST = {"data_format": "channels_first"}


def model_file(folder: Path) -> Path:
    keras = require("tf_keras")
    layers = keras.layers
    inputs = keras.Input((3, 16, 12))
    value = layers.BatchNormalization(axis=1)(layers.Conv2D(6, 3, dilation_rate=2, activation="relu", **FIRST)(inputs))
    value = layers.Conv2D(8, 3, activation="relu", **FIRST)(value)
    value = layers.Conv2D(6, 3, dilation_rate=2, padding="same", activation="gelu", **FIRST)(value)
    value = layers.GlobalAveragePooling2D(**FIRST)(value)
    path = folder / "m.keras"
    keras.Model(inputs, layers.Dense(5, activation="softmax")(value)).save(path)
    return path


def test_every_format(tmp_path: Path) -> None:
    path, out = model_file(tmp_path), tmp_path / "out"
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 12, 3), np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    options: dict[str, Any] = {"model": path, "output": out, "calibration": tmp_path / "images.npz", "schemes": "float32,int8"}
    manifest = convert(ConvertOptions(**options))
    assert {artifact.name: (artifact.status, artifact.reason) for artifact in manifest.artifacts} == {
        f"base-{target}-{scheme}": ("ok", "") for target in ("tflite", "onnx", "coreml") for scheme in ("float32", "int8")
    }
    assert manifest.image_spec.layout == "CHW"
    assert describe(out / "base-tflite-float32.tflite").inputs[0].shape == [1, 3, 16, 12]
    assert describe(out / "base-onnx-int8.onnx").inputs[0].shape == [None, 3, 16, 12]
    assert "Transpose" not in describe(out / "base-onnx-float32.onnx").actual.operations
    scores = {artifact.name: open_runner(out / artifact.path).predict(images[:3]) for artifact in manifest.artifacts}
    for name, found in scores.items():
        # float32 sums in another order; int8 steps of 1/256 and of the layers before
        assert np.abs(found - scores["base-tflite-float32"]).max() <= (0.05 if "int8" in name else 1e-4)
    convert(ConvertOptions(**{**options, "targets": ("onnx",), "schemes": "float32", "onnx_layout": "nhwc"}))
    assert describe(out / "base-onnx-float32.onnx").inputs[0].shape == [None, 16, 12, 3]
