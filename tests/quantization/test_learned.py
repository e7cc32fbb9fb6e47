"""The parameters that quantization-aware training learned are those in the int8 files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgecls.compression.kernels import layer_kernels
from edgecls.compression.qat import QatModel, prepare_qat
from edgecls.data.synthetic import synthetic_pixels
from edgecls.errors import ConversionError
from edgecls.formats import describe
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.models import load_model, rebuild
from edgecls.quantization.learned import LearnedRanges, match_ranges
from edgecls.quantization.parameters import read_parameters
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.records.written_out import written_out_layer
from edgecls.system.extras import require
from learned_files import Int8Files, int8_files, onnx_scores, qat_scores, tflite_scores, train_a_step

RECIPE = QuantizationAwareTraining()


def prepared(path: Path, weights: Path | None = None) -> tuple[QatModel, np.ndarray]:
    loaded = load_model(path, weights=weights)
    inputs = loaded.image_spec.apply(synthetic_pixels(loaded.image_spec, 64))
    qat = prepare_qat(rebuild(loaded).model, RECIPE, [inputs[:32]])
    train_a_step(qat, inputs[:16])
    return qat, inputs


def tutorial_cnn(folder: Path) -> Path:
    """The usual one of Keras 3: BatchNorm behind an activation, also behind a Dense, and Dropout."""
    keras = require("keras")
    keras.utils.set_random_seed(2)
    layers = keras.layers
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 127.5, -1)])
    for filters in (8, 12):
        model.add(layers.Conv2D(filters, 3, activation="relu", padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.2))
    for layer in (layers.Flatten(), layers.Dense(16, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3)):
        model.add(layer)
    model.add(layers.Dense(5, activation="softmax"))
    model(np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32), training=True)
    model.save(folder / "tutorial.keras")
    return folder / "tutorial.keras"


MODELS = [
    "tutorial",
    "face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5",
    pytest.param("mlperf_tiny/pretrainedResnet.h5", marks=pytest.mark.slow),  # sums as the one before has them
]


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory) -> tuple[QatModel, np.ndarray, Int8Files]:
    folder = tmp_path_factory.mktemp("learned")
    path = tutorial_cnn(folder) if request.param == "tutorial" else request.getfixturevalue("zoo") / request.param
    qat, inputs = prepared(path)
    return qat, inputs, int8_files(qat, inputs[:2], folder)


@pytest.mark.parametrize("pointwise", ["Dense", pytest.param("Conv2D", marks=pytest.mark.slow)])
def test_a_normalisation_computes_in_float_between_int8_layers(pointwise, tmp_path):
    """As in ConvNeXt, written either way: what training rounded in front of it and behind it is what the files round."""
    keras = require("keras")
    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Conv2D(12, 4, strides=4)(layers.Rescaling(1 / 127.5, -1)(inputs))
    inner = layers.LayerNormalization(name="first")(layers.DepthwiseConv2D(3, padding="same")(value))
    connect = layers.Dense if pointwise == "Dense" else partial(layers.Conv2D, kernel_size=1)
    inner = connect(12)(connect(24, activation="gelu")(inner))
    value = layers.LayerNormalization(name="second")(layers.GlobalAveragePooling2D()(layers.Add()([value, inner])))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(value))
    generator = np.random.default_rng(4)
    for name in ("first", "second"):
        model.get_layer(name).set_weights([generator.uniform(0.5, 1.5, 12), generator.normal(0, 0.5, 12)])
    model.save(tmp_path / "model.keras")
    qat, inputs = prepared(tmp_path / "model.keras")
    assert set(qat.plan.stays_float) == {"first", "second", *(name for name in qat.plan.stays_float if "softmax" in name)}
    files = int8_files(qat, inputs[:2], tmp_path)
    for suffix, content in (("tflite", files.tflite), ("onnx", files.onnx.SerializeToString())):
        (tmp_path / f"model.{suffix}").write_bytes(content)
        held = describe(tmp_path / f"model.{suffix}").actual.eight_bit_weights
        assert held >= sum(kernel.variable.numpy().size for kernel in layer_kernels(qat.float_model()))
    assert_answers_agree(qat, inputs, files)


def test_a_layer_that_is_written_out_is_float_as_a_whole(tmp_path):
    keras = require("keras")
    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    value = layers.RMSNormalization(name="root")(layers.Conv2D(6, 3, name="conv")(inputs))
    value = layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(8, 3, activation="relu", name="last")(value))
    keras.Model(inputs, layers.Dense(5, activation="softmax")(value)).save(tmp_path / "model.keras")
    qat, images = prepared(tmp_path / "model.keras")
    parts = [layer.name for layer in qat.float_model().layers if written_out_layer(layer.name) == "root"]
    assert len(parts) > 3
    assert set(parts) == {name for name in qat.plan.stays_float if "softmax" not in name}
    assert set(parts) & set(qat.plan.sites) == {parts[-1]}  # which a convolution takes in int8
    files = int8_files(qat, images[:2], tmp_path)
    (tmp_path / "model.tflite").write_bytes(files.tflite)
    actual = describe(tmp_path / "model.tflite").actual
    assert actual.operations["QUANTIZE"] == actual.operations["DEQUANTIZE"] == 2  # around the layer; of the image and for softmax
    assert_answers_agree(qat, images, files)


def test_nothing_but_softmax_stays_float(trained, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(trained[2].tflite)
    actual = describe(path).actual
    assert [item.operation for item in actual.stayed_float] == ["SOFTMAX"]
    assert actual.activation_dtypes == {"int8": actual.activation_dtypes["int8"], "float32": 1}  # what softmax reads
    assert actual.operations["QUANTIZE"] == actual.operations["DEQUANTIZE"] == 1  # no tensor changes its parameters on the way


def test_files_hold_the_learned_ranges_and_kernels(trained):
    qat, _, files = trained
    parameters = read_parameters(files.tflite)
    widened = 0
    for tensor, value in match_ranges(TFLiteGraph(files.float_tflite), files.learned).ranges.items():
        if tensor in parameters.activations and tensor not in (parameters.output,):
            scale = float(parameters.activations[tensor].scale[0])
            if scale not in (1 / 256, 1 / 128):  # what a kernel prescribes
                ratio = scale / ((value.high - value.low) / 255)
                assert 1 - 1e-5 <= ratio <= (1 + 2**-10) ** 24  # see additions
                widened += ratio > 1 + 2**-10 + 1e-5  # more than to the next float16 number
    assert widened <= 2 * _sums(files.tflite)  # a sum, and what takes its parameters from it
    kernels = {kernel.layer: kernel.variable.numpy() for kernel in layer_kernels(qat.float_model())}
    found = 0
    for operation in parameters.operations.values():
        if operation.weights is not None and operation.weights.ndim > 1:
            real = np.sort(np.ravel(operation.weights.astype(np.float64) * _along(operation)))
            matching = [name for name, kernel in kernels.items() if kernel.size == real.size and _same(kernel, real)]
            found += bool(matching)
    assert found == len(kernels)


def _sums(model: bytes) -> int:
    from ai_edge_litert.interpreter import Interpreter

    return [item["op_name"] for item in Interpreter(model_content=model)._get_ops_details()].count("ADD")


def _along(operation) -> np.ndarray:
    scale = operation.constants[1].scale.astype(np.float64)
    axis = (
        3 if operation.weights.shape[0] == 1 and operation.weights.ndim == 4 and len(scale) == operation.weights.shape[3] else 0
    )
    return scale.reshape([-1 if index == axis else 1 for index in range(operation.weights.ndim)])


def _same(kernel: np.ndarray, real: np.ndarray) -> bool:
    """Whether the weights are the kernel's, each within half a step of the largest channel."""
    return bool(np.abs(np.sort(np.ravel(kernel)) - real).max() <= np.abs(kernel).max() / 127 / 2 * 1.001)


def test_files_answer_as_the_trained_model(trained):
    assert_answers_agree(*trained)


def assert_answers_agree(qat: QatModel, inputs: np.ndarray, files: Int8Files) -> None:
    expected = qat_scores(qat, inputs)
    tflite, onnx = tflite_scores(files.tflite, inputs), onnx_scores(files.onnx, inputs)
    # Sums in float and in integers round apart where a value lies half-way between two codes: of the scores' logits that is a code or two.
    low, high = qat.ranges()[next(name for name in reversed(qat.plan.sites))]
    clear = _gap(expected) > 4 * (high - low) / 255
    assert clear.mean() > 0.5
    assert (tflite.argmax(1) == expected.argmax(1))[clear].mean() >= 0.99
    assert (tflite.argmax(1) == onnx.argmax(1))[clear].mean() >= 0.999


def _gap(scores: np.ndarray) -> np.ndarray:
    """Difference of the two highest logits."""
    logits = np.sort(np.log(np.maximum(scores, 1e-30)), axis=1)
    return logits[:, -1] - logits[:, -2]


def test_whole_kernels_with_one_scale(tmp_path):
    loaded = load_model(tutorial_cnn(tmp_path))
    inputs = loaded.image_spec.apply(synthetic_pixels(loaded.image_spec, 8))
    qat = prepare_qat(rebuild(loaded).model, RECIPE.model_copy(update={"per_channel": False}), [inputs])
    parameters = read_parameters(int8_files(qat, inputs[:2], tmp_path, per_channel=False).tflite)
    scales = {name: len(item.constants[1].scale) for name, item in parameters.operations.items() if item.weights is not None}
    assert sorted(scales.values()) == [1, 1, 1, 1, 3, 8, 12]  # convolutions and dense layers; depthwise ones by channel


def test_a_tensor_without_a_learned_range_is_an_error(trained):
    learned = trained[2].learned
    less = {name: value for name, value in learned.ranges.items() if name != trained[0].plan.sites[2]}
    values = {name: learned.values[name] for name in less}
    with pytest.raises(ConversionError, match=r"a learned range for every tensor, found none for [12] of"):
        match_ranges(TFLiteGraph(trained[2].float_tflite), LearnedRanges(less, learned.inputs, values))
