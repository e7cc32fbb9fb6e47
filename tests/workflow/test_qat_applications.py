"""Quantization-aware training of whole networks: it builds, trains, and its int8 files answer as it does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from application_models import SIZES, application
from edgecls.compression.fake_quantization import quantizer_class
from edgecls.compression.qat import prepare_qat
from edgecls.data import open_images
from edgecls.data.synthetic import synthetic_pixels
from edgecls.formats import describe
from edgecls.models import load_model, rebuild
from edgecls.quantization.scales import STEPS
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import QuantizationAwareTraining
from edgecls.system.extras import require
from learned_files import int8_files, onnx_scores, qat_scores, tflite_scores, train_a_step
from zoo_models import MODELS

CLASSES, VARIATIONS = 10, 10
NORMALISING = {
    "MEAN",
    "NEG",
    "SQUARED_DIFFERENCE",
    "ADD",
    "RSQRT",
    "MUL",
    "SUB",
}  # what a LayerNormalization becomes in TensorFlow Lite
REAL_MODELS = (
    "fashion_cnn/fashion_mnist_model.h5",
    "mlperf_tiny/pretrainedResnet.h5",
    "mlperf_tiny/vww_96.h5",
    "face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5",
    "face_xception/fer2013_big_XCEPTION.54-0.66.hdf5",
    "mnist_tensorspace/mnist.h5",
)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV2",
        "EfficientNetB0",
        "MobileNetV3Small",
        "ResNet50",
        "ResNet50V2",
        "DenseNet121",
        "Xception",
        "NASNetMobile",
        "InceptionV3",
        "VGG16",
        "ConvNeXtTiny",
    ],
)
def test_applications(name: str, tmp_path: Path):
    keras = require("keras")
    size = SIZES[name]
    spec = ImageSpec(height=size, width=size, channels=3)
    prototypes = synthetic_pixels(spec, CLASSES, seed=4).astype(np.float32)
    model = application(keras, name, size)
    know(model, prototypes)
    model.save(tmp_path / "source.keras")
    del model
    images = varied(prototypes)
    qat = prepare_qat(rebuild(load_model(tmp_path / "source.keras")).model, QuantizationAwareTraining(), [images[::4]])
    assert all(qat.plan.stays_float[layer].startswith(("softmax", "it normalises")) for layer in qat.plan.stays_float)
    train_a_step(qat, images[:16])
    assert_files_agree(qat, images, tmp_path, clear_share=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("item", [item for item in MODELS if item.path in REAL_MODELS], ids=lambda item: item.id)
def test_real_models(item: Any, zoo: Path, shared_data: Path, tmp_path: Path):
    loaded = load_model(zoo / item.path, weights=zoo / item.weights if item.weights else None)
    spec = loaded.image_spec.with_preprocess(item.preprocess)
    images = np.concatenate(
        [spec.apply(part) for part in open_images(item.data(shared_data), spec, role="data", limit=400).batches()]
    )
    qat = prepare_qat(rebuild(loaded).model, QuantizationAwareTraining(), [images[:100]])
    train_a_step(qat, images[:16])
    assert_files_agree(qat, images, tmp_path, clear_share=0.3)


def know(model: Any, prototypes: np.ndarray) -> None:
    """Give a network of random weights clear answers: its last layer scores how like a prototype's the features are."""
    last = next(layer for layer in reversed(model.layers) if layer.weights)  # a Dense; of MobileNetV3 a 1x1 convolution
    features = require("keras").Model(model.inputs, last.input)(prototypes).numpy().reshape(CLASSES, -1)
    centred = features - features.mean(axis=0)
    likeness = centred @ centred.T
    ridge = (
        0.02 * np.trace(likeness) / CLASSES * np.eye(CLASSES)
    )  # without it, alike features would be told apart by their rounding
    kernel = 8.0 * centred.T @ np.linalg.inv(likeness + ridge)  # nearly 8 for its own, nearly 0 for the others
    last.set_weights([kernel.reshape(last.kernel.shape), -features.mean(axis=0) @ kernel])


def varied(prototypes: np.ndarray) -> np.ndarray:
    """Each prototype with noise of up to 4 levels, VARIATIONS times."""
    noise = np.random.default_rng(6).uniform(-4, 4, (VARIATIONS, *prototypes.shape))
    return np.clip(np.rint(prototypes + noise), 0, 255).astype(np.float32).reshape(-1, *prototypes.shape[1:])


def assert_files_agree(qat: Any, images: np.ndarray, folder: Path, *, clear_share: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = int8_files(qat, images[[0, len(images) // 2]], folder)
    (folder / "model.tflite").write_bytes(files.tflite)
    normalises = any(reason.startswith("it normalises") for reason in qat.plan.stays_float.values())
    stayed_float = {item.operation for item in describe(folder / "model.tflite").actual.stayed_float}
    assert stayed_float == ({"SOFTMAX"} | NORMALISING if normalises else {"SOFTMAX"})
    expected, tflite, onnx = qat_scores(qat, images), tflite_scores(files.tflite, images), onnx_scores(files.onnx, images)
    # Clear: what the trained model itself decides whatever the order of its float32 sums, which is off by some 1e-4 of a step. A value
    # half-way between two codes falls to either, and deep networks with random weights amplify that. Files that round integers differ from
    # the model as it does from itself. So a lead of six times that noise is clear, which is four standard deviations of the difference of
    # two logits; and a tenth of the logits' spread where there is no noise, for a step or two of the last tensor.
    logits, again = (_centred(scores) for scores in (expected, nudged_scores(qat, images, steps=1e-4)))
    ahead = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
    noise = float(np.sqrt(np.mean((logits - again) ** 2)))
    clear = ahead > max(6 * noise, 0.1 * logits.std(axis=1).mean())
    assert clear.mean() >= clear_share
    assert (tflite.argmax(1) == expected.argmax(1))[clear].mean() >= 0.99
    assert (onnx.argmax(1) == expected.argmax(1))[clear].mean() >= 0.99
    assert (tflite.argmax(1) == onnx.argmax(1))[clear].mean() >= 0.999


def nudged_scores(qat: Any, images: np.ndarray, *, steps: float) -> np.ndarray:
    """Scores [n, outputs] of the model that rounds, each of its values nudged by up to so many steps before it is rounded."""
    tf = require("tensorflow")
    kind = quantizer_class()
    rounded = kind.call

    def call(quantizer: Any, values: Any, member: int = 0, **kwargs: Any) -> Any:
        low, high = quantizer.range()
        nudges = tf.random.stateless_uniform(tf.shape(values), [3, member], -steps, steps) * (high - low) / STEPS
        return rounded(quantizer, values + nudges, member, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "call", call)
        return qat_scores(qat, images)


def _centred(scores: np.ndarray) -> np.ndarray:
    """Logits, but for a number common to all classes."""
    logits = np.log(np.maximum(scores, 1e-30))
    return logits - logits.mean(axis=1, keepdims=True)
