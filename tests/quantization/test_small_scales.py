"""int8 files of networks whose tensors are so small, or so large, that float16 does not hold their scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecls.quantization.scales import float16_scale, is_float16
from edgecls.records.artifact import Manifest
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert

MODERATE, EXTREME = (1e-4, 1.0, 1e3), (1e-12, 1e-8, 1e-6, 1e6)  # sizes of tensors: with the former float16 computes well


@given(st.floats(1e-12, 1e6))
def test_float16_holds_a_scale_where_no_code_moves_by_more_than_half_a_step(scale: float):
    stored = float(np.float32(np.float16(min(scale, 65504.0))))
    # the largest code is 255 steps from the lowest; float32 rounds the scale itself by 6e-8
    moved = 255 * abs(stored - scale) / scale
    assert moved < 0.5 + 1e-4 if is_float16(scale) else moved > 0.5 - 1e-4


def test_every_scale_from_15_millionths_to_the_end_of_float16_can_be_chosen_so_that_it_is_held():
    scales = np.geomspace(1.6e-5, 6.5e4, 10_000)
    assert is_float16(float16_scale(scales)).all()
    assert not is_float16([1e-12, 2e-8, 1e5]).any()


def narrow(sizes: tuple[float, ...], folder: Path) -> Manifest:
    """Convert a network whose branches compute with tensors of these sizes and give ordinary ones back."""
    import keras

    keras.utils.set_random_seed(4)
    image = keras.Input((12, 12, 3))
    parts = []
    for size in sizes:
        inner, outer = keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.Conv2D(6, 3, activation="relu")
        parts.append(outer(inner(image)))
        inner.set_weights([inner.get_weights()[0] * size, np.zeros(8, np.float32)])
        outer.set_weights([outer.get_weights()[0] / size, np.zeros(6, np.float32)])
    value = keras.layers.Flatten()(keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0])
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax")(value))
    random = np.random.default_rng(0)
    images = (random.integers(0, 256, (48, 1, 1, 3)) * random.random((48, 12, 12, 3))).astype(np.uint8)
    features = np.asarray(keras.Model(image, value)(images / 255))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([3 * kernel / features.std(axis=0).max(), bias])  # so that images have clear winners
    model.save(folder / "model.keras")
    np.savez(folder / "images.npz", x=images)
    return convert(
        ConvertOptions(
            model=folder / "model.keras",
            preprocess="0..1",
            schemes="float16,int8",
            targets=("tflite", "onnx", "coreml"),
            calibration=folder / "images.npz",
            output=folder / "out",
        )
    )


@pytest.mark.parametrize("sizes", [MODERATE, *(pytest.param((size,), marks=pytest.mark.slow) for size in EXTREME)], ids=str)
def test_int8_files_are_made_of_tensors_of_every_size(sizes: tuple[float, ...], tmp_path: Path):
    manifest = narrow(sizes, tmp_path)
    rows = {(row.target, row.scheme): row for row in manifest.artifacts}
    # litert-quantizer takes no range below 1e-9, so that smaller weights become 0: made, and rejected for what it answers
    vanishes = min(sizes) < 1e-9
    assert rows["tflite", "int8"].status == rows["onnx", "int8"].status == ("rejected" if vanishes else "ok")
    images = np.load(tmp_path / "images.npz")["x"]
    tflite, onnx = (predict(tmp_path / "out" / rows[target, "int8"].path, images) for target in ("tflite", "onnx"))
    np.testing.assert_allclose(onnx, tflite, atol=1e-5)  # the same codes
    coreml = rows["coreml", "int8"]
    assert coreml.status != "failed", coreml.reason  # a file is made; where float16 itself overflows or vanishes, it is rejected
    notes = [note for note in manifest.notes if "float16 does not hold" in note]
    assert len(notes) == (min(sizes) < 1e-3)
    if sizes == MODERATE:
        assert coreml.status == "ok", coreml.reason
        agree = predict(tmp_path / "out" / coreml.path, images).argmax(1) == tflite.argmax(1)
        assert agree.mean() >= 0.95  # of images drawn at random, few of which are near a border


def predict(path: Path, images: np.ndarray) -> np.ndarray:
    """Scores of an artifact, also of one that was rejected."""
    if path.suffix == ".rejected":
        path = path.rename(path.with_suffix(""))
    return open_runner(path).predict(images)


@pytest.mark.parametrize("passes", [0.0, 1e-7], ids=["nothing", "next to nothing"])
def test_a_relu_that_lets_nothing_through_leaves_the_other_layers_their_scores(passes: float, tmp_path: Path):
    """XNNPACK refuses a layer whose output has steps 256 times finer than the layer counts in, and with it the model."""
    import keras

    keras.utils.set_random_seed(4)
    image = keras.Input((12, 12, 3))
    value = keras.layers.Conv2D(8, 1, activation="relu")(image)
    closed = keras.layers.Conv2D(8, 1, activation="relu")
    behind, answer = keras.layers.Conv2D(8, 1), keras.layers.Dense(8)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([value, behind(closed(value))]))
    model = keras.Model(image, keras.layers.Softmax()(answer(pooled)))
    behind.set_weights([behind.get_weights()[0], np.full(8, 0.3, np.float32)])
    answer.set_weights([4 * np.eye(8, dtype=np.float32), np.zeros(8, np.float32)])
    random = np.random.default_rng(0)
    images = (random.integers(0, 256, (48, 1, 1, 3)) * random.random((48, 12, 12, 3))).astype(np.uint8)
    kernel, bias = closed.get_weights()
    highest = (np.asarray(keras.Model(image, value)(images / 255)) @ kernel[0, 0]).max(axis=(0, 1, 2))
    closed.set_weights([kernel, passes - highest if passes else bias - 50])
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "images.npz", x=images)
    manifest = convert(
        ConvertOptions(
            model=tmp_path / "model.keras",
            preprocess="0..1",
            schemes="int8",
            targets=("tflite", "onnx"),
            calibration=tmp_path / "images.npz",
            output=tmp_path / "out",
        )
    )
    assert [row.status for row in manifest.artifacts] == ["ok", "ok"], [row.reason for row in manifest.artifacts]
    asked = np.asarray(model(images / 255))
    # The image, both summands, their sum and its average are each rounded by half a step, and so are the three weights that make a value.
    # A score moves by half of what the logits move at most, and these by four times what the average does and half a step of their own.
    widest = max(1.0, *(float(np.ptp(keras.Model(image, layer.output)(images / 255))) for layer in model.layers[1:-2]))
    average = 5 * widest / 255 / 2 + 3 * float(np.abs(model.layers[1].get_weights()[0]).max()) / 127 / 2
    logits = float(np.ptp(keras.Model(image, model.layers[-2].output)(images / 255)))
    for row in manifest.artifacts:
        np.testing.assert_allclose(predict(tmp_path / "out" / row.path, images), asked, atol=(4 * average + logits / 255 / 2) / 2)
