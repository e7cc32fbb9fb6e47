"""What scores are is said, and a softmax or sigmoid that the model lacks is put behind it in every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecls import open_runner
from edgecls.errors import InputError
from edgecls.formats.coreml.read import open_package
from edgecls.records.artifact import Manifest
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from terminal import Done

SHAPE = (16, 16, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of five logits and of one, `five.keras` and `one.keras`, and `images.npz`."""
    path, keras = tmp_path_factory.mktemp("scores"), require("keras")
    keras.utils.set_random_seed(0)
    for name, outputs in (("five", 5), ("one", 1)):
        image = keras.Input(SHAPE)
        value = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 64, -2)(image))
        value = keras.layers.Dense(outputs)(keras.layers.Flatten()(value))
        keras.Model(image, value).save(str(path / f"{name}.keras"))
    np.savez(path / "images.npz", x=np.random.default_rng(0).integers(0, 256, (24, *SHAPE), dtype=np.uint8), y=np.arange(24) % 5)
    return path


def source_scores(model: Path, images: np.ndarray) -> np.ndarray:
    return require("keras").models.load_model(str(model)).predict(images.astype(np.float32), verbose=0).astype(np.float64)


def make(folder: Path, model: str, out: Path, **options: Any) -> Manifest:
    chosen = {"schemes": "float32,int8", "calibration": folder / "images.npz", "threads": 1, **options}
    return convert(ConvertOptions(model=folder / model, output=out, **chosen))


@pytest.mark.parametrize(
    ("model", "activation", "schemes"), [("five.keras", "softmax", "float32,int8"), ("one.keras", "sigmoid", "float32")]
)
def test_every_format_ends_with_what_was_asked(folder: Path, tmp_path: Path, model: str, activation: str, schemes: str):
    manifest = make(folder, model, tmp_path, activation=activation, schemes=schemes)
    assert [(row.name, row.reason) for row in manifest.artifacts if row.status != "ok"] == []
    assert {(row.target, row.scheme) for row in manifest.artifacts} == {
        (target, scheme) for target in ("tflite", "onnx", "coreml") for scheme in schemes.split(",")
    }
    assert manifest.output_kind == activation
    assert f"--add-{activation}" in " ".join(manifest.notes)
    images = np.load(folder / "images.npz")["x"]
    odds = np.exp(source_scores(folder / model, images))
    expected = odds / odds.sum(axis=1, keepdims=True) if activation == "softmax" else odds / (1 + odds)
    for row in manifest.artifacts:
        runner = open_runner(tmp_path / row.path)
        assert runner.output_kind == activation
        found = runner.predict(images)
        if row.scheme == "float32":
            np.testing.assert_allclose(found, expected, atol=1e-4)
        assert activation == "sigmoid" or np.abs(found.sum(axis=1) - 1).max() < 0.01


def test_logits_are_said_to_be_logits_in_every_format(folder: Path, tmp_path: Path):
    manifest = make(folder, "five.keras", tmp_path, schemes="float32")
    assert [note for note in manifest.notes if "logits, not probabilities" in note and "--add-softmax" in note]
    for row in manifest.artifacts:
        assert open_runner(tmp_path / row.path).output_kind == "logits"
    entries = {entry.key: entry.value for entry in onnx.load(tmp_path / "base-onnx-float32.onnx").metadata_props}
    assert "not probabilities" in entries["scores"]
    assert b"logits, not probabilities" in (tmp_path / "base-tflite-float32.tflite").read_bytes()
    outputs = open_package(tmp_path / "base-coreml-float32.mlpackage").spec.description.output
    assert "logits, not probabilities" in next(item.shortDescription for item in outputs if item.name == "scores")
    # with a softmax behind it, they are another model's
    manifest = make(folder, "five.keras", tmp_path, schemes="float32", targets=("tflite",), activation="softmax")
    assert [row.target for row in manifest.artifacts] == ["tflite"]


def test_one_logit_is_one_in_every_format(folder: Path, tmp_path: Path):
    manifest = make(folder, "one.keras", tmp_path, schemes="float32")
    assert [note for note in manifest.notes if "a logit, not a probability" in note and "--add-sigmoid" in note]
    images = np.load(folder / "images.npz")["x"]
    expected = source_scores(folder / "one.keras", images)
    for row in manifest.artifacts:
        runner = open_runner(tmp_path / row.path)
        assert (row.status, runner.output_kind) == ("ok", "logits")
        np.testing.assert_allclose(runner.predict(images), expected, atol=1e-4 * np.abs(expected).max())
    package = open_package(tmp_path / "base-coreml-float32.mlpackage")
    kinds = {operation.type for operation in package.spec.mlProgram.functions["main"].block_specializations["CoreML7"].operations}
    assert "sigmoid" not in kinds


@pytest.mark.parametrize(
    ("model", "arguments", "expected"),
    [
        ("five.keras", ["--add-softmax", "--add-sigmoid"], "one of --add-softmax and --add-sigmoid"),
        ("one.keras", ["--add-softmax"], "give --add-sigmoid"),
    ],
)
def test_what_cannot_be_is_one_line(
    command: Callable[..., Done], folder: Path, tmp_path: Path, model: str, arguments: list[str], expected: str
):
    done = command("convert", folder / model, *arguments, "-o", tmp_path / "out")
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert expected in done.stderr


def test_probabilities_take_no_softmax(small_model: Path, tmp_path: Path):
    with pytest.raises(InputError, match="leave --add-softmax out"):
        convert(ConvertOptions(model=small_model, output=tmp_path / "out", activation="softmax"))
