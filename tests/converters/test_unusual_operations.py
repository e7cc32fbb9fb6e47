"""Operations that classifiers have now and then, through every target: real layers, what they compute checked by the verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert


def _thresholds(keras: Any, value: Any) -> Any:
    for slope in (0.1, 0.0):  # with a threshold: comparisons whose results become numbers
        value = keras.layers.Conv2D(8, 3)(value)
        value = keras.layers.ReLU(max_value=4.0, negative_slope=slope, threshold=0.2)(value)
    return value


def _clips(keras: Any, value: Any) -> Any:
    tf = require("tensorflow")
    value = tf.clip_by_value(keras.layers.Conv2D(8, 3)(value), -1.0, 1.0)
    return tf.clip_by_value(keras.layers.Conv2D(8, 3)(value), 0.0, 1.0)


def _rows(keras: Any, value: Any) -> Any:
    return keras.layers.Reshape((1, 1, 12))(keras.layers.LSTM(12)(keras.layers.Reshape((12, 36))(value)))


def _standardized(keras: Any, value: Any) -> Any:
    return keras.layers.Conv2D(8, 3, activation="relu")(require("tensorflow").image.per_image_standardization(value))


def _zeros_around_negatives(keras: Any, value: Any) -> Any:
    """As in ResNet50V2: engines that pad a pooling with minus infinity must not take these zeros for it."""
    value = keras.layers.Conv2D(8, 3, bias_initializer=keras.initializers.Constant(-200.0))(value)
    return keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(value))


SLOW = [pytest.param(body, marks=pytest.mark.slow) for body in (_thresholds, _clips, _standardized)]


@pytest.mark.parametrize("body", [_rows, _zeros_around_negatives, *SLOW])
def test_converts_to_every_target(tmp_path: Path, body: Callable[[Any, Any], Any]) -> None:
    keras = require("tf_keras")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.GlobalAveragePooling2D()(body(keras, inputs))
    keras.Model(inputs, keras.layers.Dense(5)(value)).save(str(tmp_path / "model.h5"))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).repeat(3, 1).repeat(3, 2).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    schemes = "tflite:float32,tflite:int8,onnx:float32,onnx:int8,coreml:float16"
    manifest = convert(
        ConvertOptions(model=tmp_path / "model.h5", schemes=schemes, calibration=tmp_path / "images.npz", output=tmp_path / "out")
    )
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 5, manifest.artifacts


def test_symmetric_padding_is_no_reflection(tmp_path: Path) -> None:
    """It repeats the border itself. The greatest value of a channel lies at the border often enough to tell one from the other."""
    keras, tf = require("tf_keras"), require("tensorflow")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.Conv2D(8, 3)(tf.pad(inputs / 255.0, [[0, 0], [2, 1], [3, 0], [0, 0]], "SYMMETRIC"))
    value = keras.layers.Conv2D(8, 3)(tf.pad(value, [[0, 0], [0, 2], [1, 1], [0, 0]], "REFLECT"))
    keras.Model(inputs, keras.layers.Dense(5)(keras.layers.GlobalMaxPooling2D()(value))).save(str(tmp_path / "model.h5"))
    manifest = convert(
        ConvertOptions(
            model=tmp_path / "model.h5", schemes="tflite:float32,coreml:float32,coreml:float16", output=tmp_path / "out"
        )
    )
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 3, manifest.artifacts


def test_probabilities_of_a_convolution_are_not_rounded_on_their_way_out(tmp_path: Path) -> None:
    """A head of 1x1 convolution, softmax and a reshape, as fully convolutional classifiers have it."""
    keras = require("tf_keras")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((12, 12, 3))
    value = layers.Conv2D(10, 1)(layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(16, 3, activation="relu")(inputs)))
    keras.Model(inputs, layers.Reshape((10,))(layers.Softmax()(value))).save(str(tmp_path / "model.h5"))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).repeat(3, 1).repeat(3, 2).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    manifest = convert(
        ConvertOptions(
            model=tmp_path / "model.h5",
            schemes="tflite:int8,onnx:int8",
            calibration=tmp_path / "images.npz",
            output=tmp_path / "out",
        )
    )
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 2, manifest.artifacts
    for artifact in manifest.artifacts:
        scores = open_runner(tmp_path / "out" / artifact.path).predict(pixels)
        assert len(np.unique(scores)) > 100  # 256 steps of the output would leave few: ten probabilities of about 0.1
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_a_saved_model_of_tensorflow_1_reaches_every_target(tmp_path: Path) -> None:
    """As `simple_save` writes it: its signature is a call, whose input and output ask to be placed with their neighbours."""
    tf = require("tensorflow")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, (None, 28, 28, 1), "x")
        weights = tf.compat.v1.get_variable("w", (784, 10), initializer=tf.compat.v1.glorot_uniform_initializer(seed=1))
        scores = tf.nn.softmax(tf.reshape(image, (-1, 784)) @ weights, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "model"), {"x": image}, {"y": scores})
    manifest = convert(ConvertOptions(model=tmp_path / "model", schemes="float32", output=tmp_path / "out"))
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 3, manifest.artifacts


@pytest.mark.slow
def test_layer_normalization_of_keras2_converts(tmp_path: Path) -> None:
    keras = require("tf_keras")  # it computes it with a fused operation that no converter has
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.LayerNormalization()(keras.layers.Conv2D(8, 3, activation="relu")(inputs))
    keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(value))).save(str(tmp_path / "model.h5"))
    manifest = convert(ConvertOptions(model=tmp_path / "model.h5", schemes="float32", output=tmp_path / "out"))
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 3, manifest.artifacts


def test_integer_pixels_reach_every_target(tmp_path: Path) -> None:
    keras = require("keras")
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    value = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(value))).export(str(tmp_path / "model"), verbose=False)
    manifest = convert(ConvertOptions(model=tmp_path / "model", schemes="tflite:float32,coreml:float32", output=tmp_path / "out"))
    assert [artifact.status for artifact in manifest.artifacts] == ["ok", "ok"], manifest.artifacts


def test_an_operation_that_a_format_lacks_is_named_with_its_layer(tmp_path: Path) -> None:
    keras = require("keras")
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.GlobalAveragePooling2D()(keras.layers.Resizing(8, 8, "bicubic", name="smaller")(inputs))
    keras.Model(inputs, keras.layers.Dense(5)(value)).save(tmp_path / "model.keras")
    options = ConvertOptions(model=tmp_path / "model.keras", schemes="float32", output=tmp_path / "out")
    manifest = convert(replace(options, targets=("tflite", "onnx", "coreml", "saved_model")))
    rows = {row.target: row.reason for row in manifest.artifacts}
    place = r"found ResizeBicubic \([\w/]*smaller[\w/]*/ResizeBicubic\); "
    remedy = "replace that layer: ONNX files are made of TFLite's operations too"
    assert re.fullmatch(f"expected a graph of TFLite's own operations, {place}{remedy}", rows["tflite"] or "")
    assert rows["onnx"] == rows["tflite"]
    assert re.fullmatch(
        f"expected a graph that coremltools converts to float32, {place}replace the layer .*", rows["coreml"] or ""
    )
    assert not rows["saved_model"]
