"""Attention in int8, of both Keras generations and every kind: three files that agree, none of them refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.coreml_reference import open_program
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from mil_packages import build, write

TOKENS, WIDTH = 64, 8


def attention(keras: Any, x: Any) -> Any:
    return keras.layers.Attention()([x, x])


def concatenating(keras: Any, x: Any) -> Any:
    return keras.layers.Attention(use_scale=True, score_mode="concat")([x, x])


def additive(keras: Any, x: Any) -> Any:
    return keras.layers.AdditiveAttention()([x, keras.layers.Dense(WIDTH)(x)])


def heads(keras: Any, x: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 8, value_dim=5)(x, x)


def causal(keras: Any, x: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)


def grouped(keras: Any, x: Any) -> Any:
    return keras.layers.GroupQueryAttention(8, 4, 2)(x, x)


def transformer(keras: Any, x: Any) -> Any:
    """Two blocks of a ViT."""
    layers = keras.layers
    for _ in range(2):
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, WIDTH // 2)(normal, normal)])
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="gelu")(normal))])
    return layers.LayerNormalization(epsilon=1e-6)(x)


KINDS = [
    ("keras", attention),
    ("tf_keras", causal),
    *(
        pytest.param(generation, kind, marks=pytest.mark.slow)
        for generation in ("keras", "tf_keras")
        for kind in (attention, concatenating, additive, heads, causal, grouped, transformer)
        if (generation, kind) not in (("keras", attention), ("tf_keras", causal), ("tf_keras", grouped))
    ),
]


@pytest.mark.parametrize(("generation", "kind"), KINDS)
def test_every_kind_gets_int8_files_that_agree(generation: str, kind: Callable[[Any, Any], Any], tmp_path: Path) -> None:
    keras = require(generation)
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    tokens = layers.Reshape((TOKENS, WIDTH))(layers.Conv2D(WIDTH, 4, strides=4)(layers.Rescaling(1 / 255)(inputs)))
    pooled = layers.GlobalAveragePooling1D()(kind(keras, tokens))
    path = tmp_path / ("model.keras" if generation == "keras" else "model.h5")
    keras.Model(inputs, layers.Dense(10)(pooled)).save(path)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    manifest = convert(ConvertOptions(model=path, schemes="int8", calibration=tmp_path / "images.npz", output=tmp_path / "out"))
    assert [artifact.parity and artifact.parity.verdict for artifact in manifest.artifacts] == ["passed"] * 3, manifest.artifacts
    scores = {item.requested.target: open_runner(tmp_path / "out" / item.path).predict(pixels) for item in manifest.artifacts}
    step = np.ptp(scores["tflite"]) / 255
    for target in ("onnx", "coreml"):
        # a product of two activations is rounded to the next code by some engines: less than a step of the logits on average
        assert np.abs(scores[target] - scores["tflite"]).mean() < step, target


def test_shares_among_many_tokens_are_not_rounded_in_integers(tmp_path: Path) -> None:
    """Their scale is far below 1/256, where the engine's integer softmax overflows."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    scale_in, scale_out = np.float32(0.0033), np.float32(8e-5)

    def block(x: Any) -> Any:
        x = mb.dequantize(input=mb.quantize(input=x, scale=scale_in, output_dtype="int8"), scale=scale_in)
        shares = mb.quantize(input=mb.softmax(x=x, axis=-1), scale=scale_out, zero_point=np.int8(-128), output_dtype="int8")
        return mb.dequantize(input=shares, scale=scale_out, zero_point=np.int8(-128))

    program = open_program(write(build(block, {"x": ((1, 4, TOKENS), "float32")}), tmp_path))
    x = np.random.default_rng(0).uniform(-0.3, 0.2, (3, 4, TOKENS)).astype(np.float32)
    powers = np.exp(np.rint(x / scale_in) * scale_in)
    expected = powers / powers.sum(axis=-1, keepdims=True)
    # half a step of the shares, and what float32 may turn at a tie
    np.testing.assert_allclose(program.run(x)[program.outputs[0]], expected, atol=0.51 * float(scale_out))


def test_a_transposed_product_with_itself_is_computed(tmp_path: Path) -> None:
    """Scores of attention, whose transposition stands between two int8 operations."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    step = np.float32(0.02)

    def rounded(x: Any, scale: np.float32) -> Any:
        return mb.dequantize(input=mb.quantize(input=x, scale=scale, output_dtype="int8"), scale=scale)

    def block(x: Any) -> Any:
        tokens = rounded(x, step)
        return rounded(mb.matmul(x=tokens, y=mb.transpose(x=tokens, perm=[0, 2, 1])), np.float32(0.1))

    program = open_program(write(build(block, {"x": ((1, TOKENS, WIDTH), "float32")}), tmp_path))
    x = np.random.default_rng(0).normal(size=(3, TOKENS, WIDTH)).astype(np.float32)
    tokens = np.clip(np.rint(x / step), -128, 127) * step
    expected = np.clip(tokens @ tokens.transpose(0, 2, 1), -12.8, 12.7)
    # half a step, and what float32 may turn at a tie
    np.testing.assert_allclose(program.run(x)[program.outputs[0]], expected, atol=0.0501)


def test_a_product_of_two_computed_values_does_not_saturate(tmp_path: Path) -> None:
    """Codes so large that pairs of their products exceed 16 bits: shares times values, on a processor without VNNI."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    scale, lowest = np.float32(2**-8), np.int8(-128)

    def rounded(x: Any, scale: Any, zero_point: Any) -> Any:
        codes = mb.quantize(input=x, scale=scale, zero_point=zero_point, output_dtype="int8")
        return mb.dequantize(input=codes, scale=scale, zero_point=zero_point)

    def block(x: Any, y: Any) -> Any:
        values = rounded(y, 2 * scale, np.int8(0))
        keys = rounded(mb.reshape(x=values, shape=[1, 1, TOKENS, 4]), 2 * scale, np.int8(0))  # they are needed twice
        product = mb.matmul(x=rounded(x, scale, lowest), y=values)
        return mb.add(x=product, y=mb.reshape(x=mb.reduce_sum(x=keys, axes=[2]), shape=[1, 1, 4]))

    program = open_program(write(build(block, {"x": ((1, 4, TOKENS), "float32"), "y": ((1, TOKENS, 4), "float32")}), tmp_path))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.8, 0.99, (1, 4, TOKENS)).astype(np.float32), rng.uniform(0.8, 0.99, (1, TOKENS, 4)).astype(np.float32)
    keys = np.rint(y / (2 * scale)) * 2 * scale
    expected = (np.rint(x / scale) * scale) @ keys + keys.sum(axis=1, keepdims=True)
    found = program.run({"x": x, "y": y})[program.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # integers, scaled by powers of two, and one sum of 64 in float32
