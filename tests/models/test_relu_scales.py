"""Scales behind a ReLU go before it: the same values in fewer operations, and int8 files that keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.converters.tflite.convert import float_tflite
from edgecls.converters.tflite.metadata import add_signature
from edgecls.models import load_model
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from learned_files import tflite_scores

BLOCKS = {
    "convolution": "layers.Conv2D(6, 3, padding='same', activation='relu'), layers.BatchNormalization()",
    "pooling between": "layers.Conv2D(6, 3, activation='relu'), layers.MaxPooling2D(), layers.BatchNormalization()",
    "average between": "layers.Conv2D(6, 3, activation='relu'), layers.AveragePooling2D(2, padding='same'), layers.BatchNormalization()",
    "depthwise": "layers.DepthwiseConv2D(3, depth_multiplier=2, activation='relu'), layers.BatchNormalization()",
    "no bias": "layers.Conv2D(6, 3, use_bias=False, activation='relu'), layers.Dropout(0.2), layers.BatchNormalization()",
    "two norms": "layers.Conv2D(6, 3), layers.BatchNormalization(), layers.ReLU(), layers.BatchNormalization()",
    "in a row": "layers.Conv2D(6, 1, activation='relu'), layers.BatchNormalization(), layers.ReLU(), layers.BatchNormalization()",
    "dense": "layers.Flatten(), layers.Dense(6, activation='relu'), layers.BatchNormalization()",
}
LEFT = {
    "another activation": "layers.Conv2D(6, 3, activation='relu6'), layers.BatchNormalization()",
    "a border of zeros": "layers.Conv2D(6, 3, activation='relu'), layers.ZeroPadding2D(1), layers.BatchNormalization()",
    "no weights before": "layers.ReLU(), layers.BatchNormalization()",
}


def network(keras: Any, block: str, *, signs: tuple[float, ...] = (1.0,)) -> Any:
    """A block between a first and a last layer; its BatchNorms have uneven statistics, and factors of these signs in turn."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    body = list(eval(f"({block},)", {"layers": layers}))
    end = [layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((9, 9, 3)), *body, *end])
    generator = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.get_weights()[0].shape[0]
            gamma = generator.uniform(0.5, 1.5, channels) * np.resize(signs, channels)
            statistics = (
                generator.normal(0, 1, channels),
                generator.normal(0, 1, channels),
                10 ** generator.uniform(-3, 2, channels),
            )
            layer.set_weights([gamma, *statistics])
    return model


def operations(model: bytes) -> list[str]:
    from ai_edge_litert.interpreter import Interpreter

    return [item["op_name"] for item in Interpreter(model_content=model)._get_ops_details()]


def converted(model: Any, folder: Path) -> tuple[bytes, float]:
    """The float TFLite file, and how far it is from the model, as a share of the largest score."""
    model.save(folder / "model.keras")
    file = add_signature(float_tflite(load_model(folder / "model.keras").freeze(folder)))
    images = np.random.default_rng(0).uniform(0, 1, (5, 9, 9, 3)).astype(np.float32)
    expected = np.asarray(model(images))
    return file, float(np.abs(tflite_scores(file, images) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
@pytest.mark.parametrize("signs", [(1.0,), (1.0, -1.0, 0.0)], ids=["positive", "any"])
@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_changes_but_the_products(generation: str, signs: tuple[float, ...], block: str, tmp_path: Path) -> None:
    file, difference = converted(network(require(generation), BLOCKS[block], signs=signs), tmp_path)
    assert difference <= 1e-5  # float32 sums of a hundred products, scaled beforehand
    left = block == "in a row"  # behind the first shift a ReLU has no weights before it
    assert operations(file).count("MUL") == left + (signs != (1.0,))


@pytest.mark.parametrize("block", LEFT)
def test_what_it_would_not_be_the_same_for_is_left(block: str, tmp_path: Path) -> None:
    file, difference = converted(network(require("keras"), LEFT[block]), tmp_path)
    assert difference <= 1e-5
    assert operations(file).count("MUL") == 1


def test_a_clustered_kernel_keeps_its_few_values(tmp_path: Path) -> None:
    model = network(require("keras"), BLOCKS["convolution"])
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([np.round(kernel * 20) / 20, bias])
    assert operations(converted(model, tmp_path)[0]).count("MUL") == 1


def test_values_that_someone_else_takes_too_are_left(tmp_path: Path) -> None:
    keras = require("keras")
    layers = keras.layers
    inputs = keras.Input((9, 9, 3))
    value = layers.Conv2D(6, 3, activation="relu")(inputs)
    norm = layers.BatchNormalization()
    scores = layers.Dense(4)(layers.Flatten()(layers.Concatenate()([norm(value), value])))
    norm.set_weights([np.arange(1.0, 7.0), np.ones(6), np.zeros(6), np.ones(6)])
    file, difference = converted(keras.Model(inputs, scores), tmp_path)
    assert difference <= 1e-5
    assert operations(file).count("MUL") == 1


@pytest.mark.parametrize("generation", ["keras", pytest.param("tf_keras", marks=pytest.mark.slow)])
def test_int8_keeps_channels_that_a_batch_norm_evens_out(generation: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, 3, 3)).repeat(3, 1).repeat(3, 2).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    uneven(require(generation), pixels / 255).save(tmp_path / "model.keras")
    options = ConvertOptions(
        tmp_path / "model.keras",
        preprocess="0..1",
        schemes="tflite:int8,onnx:int8,coreml:int8",
        calibration=tmp_path / "images.npz",
        output=tmp_path / "out",
    )
    for artifact in convert(options).artifacts:
        assert artifact.parity is not None and artifact.parity.snr_db is not None
        # Ten roundings of -49 dB of their range add up to -39 dB; values of normal height fill a third of it, 10 dB less. With the scales
        # behind the ReLUs TFLite and ONNX come to 4.7 dB, Core ML to 7.
        assert artifact.parity.snr_db >= 25, artifact.name


def uneven(keras: Any, images: np.ndarray) -> Any:
    """A network whose convolutions make channels of heights from 1 to 1000, all brought to one by the BatchNorms behind the ReLUs."""
    model = network(keras, ", ".join([BLOCKS["convolution"]] * 3))
    generator = np.random.default_rng(6)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 10 ** generator.uniform(0, 3, kernel.shape[-1]), bias])
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # its statistics become those of the images
    model(images.astype(np.float32), training=True)
    return model
