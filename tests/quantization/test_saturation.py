"""ONNX int8 files answer as TFLite's on every processor: nothing in them saturates on x86 without VNNI.

There VPMADDUBSW adds two neighbouring products of uint8 activations and int8 weights in 16 bits.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.errors import SchemeError
from edgecls.runners import open_exact, open_runner
from edgecls.workflow import ConvertOptions, convert

LARGEST = 127


def convolution(weights: np.ndarray, group: int) -> onnx.ModelProto:
    """A QLinearConv whose scales are 1 and 2^-10, so that its codes tell the sums to 10 bits."""
    constants = {
        "one": np.float32(1),
        "many": np.float32(2**10),
        "zero": np.uint8(0),
        "middle": np.zeros(len(weights), weights.dtype) + (128 if weights.dtype == np.uint8 else 0),
        "ones": np.ones(len(weights), np.float32),
        "weights": weights,
    }
    inputs = ["image", "one", "zero", "weights", "ones", "middle", "many", "zero"]
    node = helper.make_node("QLinearConv", inputs, ["sums"], group=group, kernel_shape=weights.shape[2:])
    border = [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in ("image", "sums")]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([node], "convolution", border[:1], border[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("channels", "size"), [(1, 3), (3, 3), (8, 3), (16, 5), (64, 3), (3, 7)])
def test_depthwise_kernels_multiply_int8_weights_exactly(channels: int, size: int):
    """So they may stay int8: onnxruntime's other kernels would add 255 * 127 twice and be cut off at 32767."""
    weights = np.full((channels, 1, size, size), LARGEST, np.int8)
    weights[:, :, ::2] //= 2
    image = np.full((1, channels, size + 2, size + 2), 255, np.uint8)
    session = onnxruntime.InferenceSession(convolution(weights, channels).SerializeToString(), providers=["CPUExecutionProvider"])
    sums = np.asarray(session.run(None, {"image": image})[0])
    exact = 255 * weights[0].astype(np.int64).sum()
    assert (sums == min(255, round(exact / 2**10))).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """int8 files of a network with every kind of kernel, whose largest weights stand side by side and have one sign."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    value = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    value = layers.Conv2D(16, 3, padding="same", activation="relu")(value)
    value = layers.DepthwiseConv2D(3, activation="relu", padding="same")(value)
    value = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(value)
    value = layers.Conv2D(32, 3, groups=4, activation="relu")(value)
    value = layers.Conv2D(20, 1, activation="relu")(value)
    value = layers.Flatten()(value)
    value = layers.Dense(24, activation="relu")(value)
    model = keras.Model(image, layers.Dense(10, activation="softmax")(value))
    random = np.random.default_rng(0)
    for layer in model.layers[:-1]:
        if layer.weights:
            kernel = layer.get_weights()[0]
            signs = np.where(random.random(kernel.shape[-1]) < 0.7, 1, -1)  # of each output channel
            layer.set_weights([signs * (0.8 + 0.2 * random.random(kernel.shape)), *layer.get_weights()[1:]])
    images = (random.integers(0, 256, (48, 1, 1, 3)) * random.random((48, 16, 16, 3))).astype(np.uint8)
    features = np.asarray(keras.Model(image, value)(images / 255))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([4 * kernel / features.std(axis=0).max(), bias])
    folder = tmp_path_factory.mktemp("saturation")
    model.save(folder / "model.keras")
    np.savez(folder / "images.npz", x=images)
    convert(options_for(folder))
    return folder


def options_for(folder: Path) -> ConvertOptions:
    return ConvertOptions(
        model=folder / "model.keras",
        preprocess="0..1",
        targets=("tflite", "onnx"),
        schemes="int8",
        calibration=folder / "images.npz",
        output=folder / "out",
    )


def test_a_network_that_would_saturate_answers_as_tflite_does(folder: Path):
    images = np.load(folder / "images.npz")["x"]
    tflite, onnx = (open_runner(folder / "out" / f"base-{target}-int8.{target}").predict(images) for target in ("tflite", "onnx"))
    assert tflite.std(axis=0).max() > 0.01  # the images do have answers of their own
    np.testing.assert_array_equal(onnx.argmax(1), tflite.argmax(1))
    np.testing.assert_allclose(onnx, tflite, atol=1e-5)  # the same codes reach a softmax in float32


def test_all_kernels_but_the_depthwise_one_are_uint8_with_tflites_codes(folder: Path):
    model = onnx.load(folder / "out" / "base-onnx-int8.onnx")
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    kernels = {name: value for name, value in constants.items() if name.endswith("/weights/codes")}
    signed = [value.shape for value in kernels.values() if value.dtype == np.int8]
    assert signed == [(16, 1, 3, 3)]  # a multiplier of 2 makes a matrix product of each group
    assert len(kernels) == 8
    for name, value in kernels.items():
        zero_points = constants[name.replace("/codes", "/zero_point")]
        assert (zero_points == (0 if value.dtype == np.int8 else 128)).all()
        assert value.min() >= (-LARGEST if value.dtype == np.int8 else 1)  # -128 is no code of a symmetric weight


def test_a_file_with_int8_weights_says_where_it_is_right_and_is_judged_as_there(folder: Path):
    manifest = convert(dataclasses.replace(options_for(folder), output=folder / "signed", onnx_weights="int8"))
    row = next(row for row in manifest.artifacts if row.target == "onnx")
    assert row.requested.onnx_weights == "int8"
    assert row.status == "ok", row.reason  # summed exactly, whatever processor this is
    path = folder / "signed" / row.path
    model = onnx.load(path)
    kernels = [numpy_helper.to_array(item) for item in model.graph.initializer if item.name.endswith("/weights/codes")]
    assert {value.dtype for value in kernels} == {np.dtype(np.int8)}
    said = next(entry.value for entry in model.metadata_props if entry.key == "processors")
    assert f"{row.name}: {said}" in manifest.notes
    assert "VNNI" in said
    images = np.load(folder / "images.npz")["x"]
    exact, tflite = open_exact(path).predict(images), open_runner(folder / "out" / "base-tflite-int8.tflite").predict(images)
    np.testing.assert_allclose(exact, tflite, atol=1e-5)


def test_int8_weights_need_an_int8_file_in_onnx(folder: Path):
    with pytest.raises(SchemeError, match="--onnx-weights int8"):
        convert(dataclasses.replace(options_for(folder), targets=("tflite",), onnx_weights="int8"))
