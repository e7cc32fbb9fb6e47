"""Normalisations stay float in int8 files of every format, whatever layer they come from; everything around them is int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.converters.tflite.convert import float_tflite
from edgecls.formats import describe
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.models import load_model
from edgecls.quantization.normalisations import normalisations
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert


def by_layer(keras: Any) -> Any:
    return keras.layers.LayerNormalization(epsilon=1e-6)


def by_image(keras: Any) -> Any:
    return keras.layers.LayerNormalization(axis=[1, 2, 3])


def by_group(keras: Any) -> Any:
    return keras.layers.GroupNormalization(groups=4)


def by_channel(keras: Any) -> Any:
    return keras.layers.GroupNormalization(groups=-1)


def by_root_mean_square(keras: Any) -> Any:
    return keras.layers.RMSNormalization()


QUICK = [("tf_keras", by_layer), ("keras", by_root_mean_square)]
KINDS = [
    *((generation, kind) for generation in ("tf_keras", "keras") for kind in (by_layer, by_image, by_group, by_channel)),
    ("keras", by_root_mean_square),
]
CASES = [
    pytest.param(*case, id=f"{case[0]}-{case[1].__name__}", marks=() if case in QUICK else pytest.mark.slow) for case in KINDS
]


def network(generation: str, kind: Callable[[Any], Any], path: Path) -> int:
    """Two blocks as in ConvNeXt, whose normalisations have factors and summands, and one before the last layer; size of its kernels."""
    keras = require(generation)
    keras.utils.set_random_seed(3)
    layers, norms = keras.layers, [kind(keras) for _ in range(3)]
    inputs = keras.Input((16, 16, 3))
    value = layers.Conv2D(12, 4, strides=2, padding="same")(layers.Rescaling(1 / 127.5, -1)(inputs))
    for norm in norms[:2]:
        inner = norm(layers.DepthwiseConv2D(3, padding="same")(value))
        inner = layers.Dense(12)(layers.Dense(24, activation="relu")(inner))
        value = layers.Add()([value, inner])
    value = layers.Flatten()(norms[2](layers.AveragePooling2D(4)(value)))
    model = keras.Model(inputs, layers.Dense(5)(value))
    generator = np.random.default_rng(1)
    for norm in norms:
        factors, *summands = [weight.shape for weight in norm.weights]
        norm.set_weights([generator.uniform(0.5, 1.5, factors), *(generator.normal(0, 0.5, shape) for shape in summands)])
    model.save(path)
    others = [weight for layer in model.layers if layer not in norms for weight in layer.weights]
    return sum(int(np.prod(weight.shape)) for weight in others if len(weight.shape) > 1)


@pytest.mark.parametrize(("generation", "kind"), CASES)
def test_int8_files_keep_what_a_normalised_network_computes(generation: str, kind: Any, tmp_path: Path) -> None:
    kernels = network(generation, kind, tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    options = ConvertOptions(
        tmp_path / "model.keras",
        schemes="tflite:int8,onnx:int8,coreml:int8",
        calibration=tmp_path / "images.npz",
        output=tmp_path / "out",
    )
    manifest = convert(options)
    for artifact in manifest.artifacts:
        assert artifact.parity is not None
        # Eight roundings to 256 steps, each of -49 dB of its range, add up to -40 dB; normal values fill a third of it, 10 dB less; and by
        # channel the last one divides by the deviation of four values, some of them close together: another 10 dB. With variances in int8
        # the TFLite files came to 0.2 to 5.0 dB.
        assert artifact.parity.snr_db is not None
        assert artifact.parity.snr_db >= 20, artifact.name
        # TFLite folds the factors of a root mean square into the kernels behind it; those are not the kernels that Core ML has.
        folded = 2 * 12 * 24 if kind is by_root_mean_square and artifact.requested.target == "coreml" else 0
        description = describe(tmp_path / "out" / artifact.path)
        assert description.actual.eight_bit_weights >= kernels - folded
        if artifact.requested.target == "onnx" and (generation, kind) != ("tf_keras", by_image):  # which reshapes to one image
            assert description.inputs[0].shape[0] is None
    operations = {entry.operation for entry in describe(tmp_path / "out" / manifest.artifacts[0].path).actual.stayed_float}
    assert "RSQRT" in operations
    assert not operations & {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D"}


def float_model(model: Any, folder: Path) -> TFLiteGraph:
    model.save(folder / "model.keras")
    return TFLiteGraph(float_tflite(load_model(folder / "model.keras").freeze(folder)))


def test_a_root_that_nothing_is_divided_by_is_no_normalisation(tmp_path: Path) -> None:
    keras = require("keras")
    inputs = keras.Input((8, 8, 3))
    value = keras.layers.Conv2D(4, 3)(inputs)
    energy = keras.ops.sqrt(keras.ops.mean(keras.ops.square(value), axis=(1, 2)))
    assert not normalisations(float_model(keras.Model(inputs, keras.layers.Dense(3)(energy)), tmp_path))


def test_what_reads_the_values_beside_a_normalisation_is_not_part_of_it(tmp_path: Path) -> None:
    keras = require("keras")
    inputs = keras.Input((8, 8, 3))
    value = keras.layers.Conv2D(4, 3, name="first")(inputs)
    joined = keras.layers.Multiply(name="joined")([value, keras.layers.LayerNormalization(name="norm")(value)])
    found = normalisations(float_model(keras.Model(inputs, keras.layers.Conv2D(2, 6, name="last")(joined)), tmp_path))
    assert found
    assert all("norm" in name for name in found)
