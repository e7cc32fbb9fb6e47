"""convert_model: Keras models of both generations to artifacts in memory, which run; nothing is left on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecls
from edgecls.errors import InputError
from edgecls.runners import open_runner
from edgecls.system.extras import require


def classifier(generation: str) -> Any:
    keras = require(generation)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(value))
    return keras.Model(inputs, outputs, name="three")


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_a_model_becomes_files_that_compute_it(generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = classifier(generation)
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), np.uint8)
    made = edgecls.convert_model(
        model, targets=["tflite", "coreml"], schemes="tflite:float32,tflite:int8,coreml:float16", calibration=images,
        labels=["a", "b", "c"],
    )  # fmt: skip
    assert sorted(made.artifacts) == ["base-coreml-float16", "base-tflite-float32", "base-tflite-int8"]
    assert (made.manifest.source.name, made.manifest.labels) == ("three.keras", ["a", "b", "c"])
    assert made.manifest.data == []  # nothing tells of files that are gone
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("__")]
    file = made.of("tflite", "float32")
    assert file.content[4:8] == b"TFL3"
    path = file.write(tmp_path / "out")
    scores = open_runner(path).predict(images)
    np.testing.assert_allclose(
        scores, np.asarray(model(images.astype(np.float32))), atol=1e-4
    )  # parity's own limit for scores up to 1
    package = made.of("coreml", "float16")
    assert (package.write(tmp_path / "out") / "Manifest.json").is_file()
    with pytest.raises(InputError, match="a package of files"):
        _ = package.content


def test_what_is_not_there_is_told_with_its_reason():
    made = edgecls.convert_model(classifier("keras"), targets=["tflite"], schemes="float32", verify=False)
    with pytest.raises(InputError, match="only base-tflite-float32"):
        made.of("onnx", "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": np.zeros(3)}, "found a ndarray"),
        ({"model": "nowhere.h5"}, "nowhere.h5"),
        ({"model": "nowhere.h5", "calibration": np.zeros((3, 3))}, r"shape \(3, 3\)"),
        ({"model": "nowhere.h5", "calibration": [1]}, "found a list"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        edgecls.convert_model(**arguments)
