"""TFLite and ONNX int8 carry the same codes, scales and zero points, in the form onnxruntime turns into integer kernels.

ONNX's activations are uint8, and its weights but for depthwise kernels: their zero points are 128 higher.
"""

from __future__ import annotations

import collections
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgecls.quantization.parameters import read_parameters
from edgecls.workflow import ConvertOptions, convert


@pytest.fixture(scope="module")
def folder(zoo: Path, shared_data: Path, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("shared") / "out"
    options = ConvertOptions(
        model=zoo / "mlperf_tiny" / "vww_96.h5",
        preprocess="0..1",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=shared_data / "flowers",
        calibration_images=64,
        output=output,
    )
    convert(options)
    return output


@pytest.fixture(scope="module")
def qdq(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "base-onnx-int8.onnx")


@pytest.fixture(scope="module")
def constants(qdq) -> dict[str, np.ndarray]:
    return {item.name: numpy_helper.to_array(item) for item in qdq.graph.initializer}


def test_every_activation_has_tflites_scale_and_zero_point(folder: Path, qdq, constants):
    parameters = read_parameters((folder / "base-tflite-int8.tflite").read_bytes())
    theirs = collections.Counter((float(value.scale[0]), int(value.zero_point[0])) for value in parameters.activations.values())
    ours = {
        (float(constants[node.input[1]]), int(constants[node.input[2]]) - 128)
        for node in qdq.graph.node
        if node.op_type == "QuantizeLinear" and not node.name.endswith("/average/QuantizeLinear")  # see test_additions
    }
    assert {constants[node.input[2]].dtype for node in qdq.graph.node if node.op_type == "QuantizeLinear"} == {np.dtype(np.uint8)}
    assert ours <= set(theirs)
    assert len(ours) >= 0.9 * len(set(theirs))  # tensors that ONNX does without (reshapes) have no pair of their own


def test_every_weight_has_tflites_codes(folder: Path, qdq, constants):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "base-tflite-int8.tflite"))
    interpreter.allocate_tensors()
    theirs = []
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.int8 and len(detail["quantization_parameters"]["scales"]) > 1:
            theirs.append(np.sort(interpreter.get_tensor(detail["index"]).ravel()).tobytes())
    weights = [value for name, value in constants.items() if name.endswith("/weights/codes")]
    signed = [value if value.dtype == np.int8 else (value.astype(np.int16) - 128).astype(np.int8) for value in weights]
    ours = [np.sort(value.ravel()).tobytes() for value in signed]
    assert len(ours) == len(theirs) == 28  # 13 depthwise and 14 other convolutions, and the dense layer
    assert collections.Counter(ours) == collections.Counter(theirs)


def test_biases_are_tflites_own_int32(folder: Path, constants):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "base-tflite-int8.tflite"))
    interpreter.allocate_tensors()
    theirs = {
        interpreter.get_tensor(detail["index"]).tobytes()
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] == np.int32 and len(detail["quantization_parameters"]["scales"]) > 0
    }
    ours = {value.tobytes() for name, value in constants.items() if name.endswith("/bias/codes")}
    assert len(ours) == 28
    assert ours <= theirs


def test_onnxruntime_fuses_every_convolution(folder: Path, tmp_path: Path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(folder / "base-onnx-int8.onnx"), options, providers=["CPUExecutionProvider"])
    operations = collections.Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert operations["QLinearConv"] == 27
    assert operations["Conv"] == 0
    assert operations["Relu"] == 0  # merged into the quantization


def test_onnx_batches_are_free_and_each_image_answers_for_itself(folder: Path):
    session = onnxruntime.InferenceSession(str(folder / "base-onnx-float32.onnx"), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((5, 96, 96, 3), np.float32)
    together = np.asarray(session.run(None, {"image": images})[0])
    apart = np.concatenate([np.asarray(session.run(None, {"image": image[None]})[0]) for image in images])
    # float32 sums in another order: some roundings of 6e-8 each
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-6)


def test_a_convolution_behind_a_resizing_is_computed_in_integers(tmp_path: Path):
    import keras

    keras.utils.set_random_seed(0)
    layers, image = keras.layers, keras.Input((20, 24, 3))
    value = layers.Rescaling(1 / 255)(layers.Resizing(16, 16)(image))
    value = layers.Resizing(20, 20, "nearest")(layers.Conv2D(8, 3, activation="relu")(value))
    value = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(value))
    keras.Model(image, layers.Dense(4, activation="softmax")(value)).save(tmp_path / "m.keras")
    images = np.random.default_rng(0).integers(0, 256, (20, 20, 24, 3), np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(20) % 4)
    options = ConvertOptions(tmp_path / "m.keras", targets=("tflite", "onnx"), schemes="int8", output=tmp_path / "out")
    made = convert(replace(options, calibration=tmp_path / "images.npz"))
    held = {artifact.name: artifact.actual for artifact in made.artifacts}
    stayed_float = {name: [one.operation for one in actual.stayed_float] for name, actual in held.items() if actual}
    assert stayed_float == {"base-tflite-int8": ["SOFTMAX"], "base-onnx-int8": ["Softmax"]}
