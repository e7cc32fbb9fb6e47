"""convert_model: Keras models of both generations to artifacts in memory, which run; nothing is left on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecls
from edgecls.errors import EdgeclsError, InputError
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


def test_heads_layout_and_number_of_images_are_as_asked(tmp_path: Path):
    keras = require("keras")
    inputs = keras.Input((None, None, 3))
    value = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = [keras.layers.Dense(units, name=name)(value) for name, units in (("kind", 3), ("colour", 2))]
    made = edgecls.convert_model(
        keras.Model(inputs, outputs), targets=["onnx"], schemes="float32", output="kind,colour", input_size="8x6",
        onnx_layout="nchw", onnx_batch=2,
    )  # fmt: skip
    session = require("onnxruntime").InferenceSession(made.of("onnx", "float32").content, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [2, 3, 8, 6]
    kinds, colours = session.run(None, {"image": np.ones((2, 3, 8, 6), np.float32)})
    assert (kinds.shape, colours.shape) == ((2, 3), (2, 2))


def test_a_model_of_ones_own_layers_and_a_signature(tmp_path: Path):
    tf = require("tensorflow")
    python = tmp_path / "mine.py"
    python.write_text("import keras\n\nclass Twice(keras.layers.Layer):\n    def call(self, value):\n        return 2 * value\n")
    scope: dict[str, Any] = {}
    exec(python.read_text(), scope)
    keras = require("keras")
    inputs = keras.Input((8, 8, 3))
    value = keras.layers.GlobalAveragePooling2D()(scope["Twice"]()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(value))
    arguments: dict[str, Any] = {"targets": ["tflite"], "schemes": "float32"}
    with pytest.raises(EdgeclsError, match="--custom-objects"):
        edgecls.convert_model(model, **arguments)
    with pytest.raises(EdgeclsError, match="--allow-code"):
        edgecls.convert_model(model, custom_objects=python, **arguments)
    assert edgecls.convert_model(model, custom_objects=python, allow_code=True, **arguments).artifacts
    module = tf.Module()
    shape = tf.TensorSpec((None, 8, 8, 3), tf.float32)
    module.up = tf.function(lambda image: {"scores": tf.nn.softmax(tf.reduce_mean(image, (1, 2)))}, input_signature=[shape])
    module.down = tf.function(lambda image: {"scores": tf.nn.softmax(-tf.reduce_mean(image, (1, 2)))}, input_signature=[shape])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"up": module.up, "down": module.down})
    made = edgecls.convert_model(tmp_path / "saved", signature="down", preprocess="0..1", **arguments)
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[..., 1] = 255
    runner = open_runner(made.of("tflite", "float32").write(tmp_path))
    assert runner.predict(image)[0].argmin() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": np.zeros(3)}, "found a ndarray"),
        ({"model": "nowhere.h5"}, "nowhere.h5"),
        ({"model": "nowhere.h5", "calibration": np.zeros((3, 3))}, r"shape \(3, 3\)"),
        ({"model": "nowhere.h5", "calibration": [1]}, "found a list"),
        ({"io": "int16"}, "--io among float32, int8, uint8, found 'int16'"),
        ({"onnx_layout": "chwn"}, "--onnx-layout among nhwc, nchw"),
        ({"onnx_batch": -1}, "--onnx-batch between 1 and 1024, or free"),
        ({"io": None}, "--io among float32, int8, uint8, found None"),
        ({"onnx_batch": True}, "--onnx-batch between 1 and 1024, or free, found True"),
        ({"onnx_batch": "many"}, "--onnx-batch between 1 and 1024, or free, found 'many'"),
        ({"activation": "tanh"}, "activation among softmax, sigmoid"),
        ({"input_size": "64x64"}, "images of 12x12"),
        ({"signature": "a"}, "which is none"),
        ({"output": "a,b"}, "outputs"),
        ({"targets": ["tensorrt"]}, "targets among"),
        ({"targets": "tflite"}, "targets among"),
        ({"schemes": "int4"}, "choose among"),
        ({"schemes": ["float32"]}, "write as 'float32,tflite:int8'"),
        ({"labels": "nowhere.txt"}, "nothing at nowhere.txt"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, Any], message: str):
    """Where no model is named, of a sound one."""
    given = arguments if "model" in arguments else {"model": classifier("keras"), **arguments}
    with pytest.raises(InputError, match=message):
        edgecls.convert_model(**given)
