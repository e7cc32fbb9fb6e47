"""Several outputs converted together: every file has them in the order asked, each held against the source model's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgecls.errors import EdgeclsError
from edgecls.formats import describe, read_record
from edgecls.models import load_model
from edgecls.records.artifact import Manifest
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert

SHAPE = (16, 16, 3)
EDGECLS = [sys.executable, "-m", "edgecls.cli"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """faces.keras with the outputs mood (softmax of 4), age (one number) and traits (3 sigmoids, from what mood comes from); images.npz."""
    path, keras = tmp_path_factory.mktemp("heads"), require("keras")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input(SHAPE)
    value = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 64, -2)(image))
    value = layers.Flatten()(layers.MaxPooling2D(4)(value))
    mood = layers.Dense(4, activation="softmax", name="mood")(value)
    age = layers.Dense(1, name="age")(value)
    traits = layers.Dense(3, activation="sigmoid", name="traits")(layers.Concatenate()([value, mood]))
    keras.Model(image, {"mood": mood, "age": age, "traits": traits}).save(str(path / "faces.keras"))
    images = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)
    np.savez(path / "images.npz", x=images, y=np.arange(40) % 3)
    return path


def edgecls(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDGECLS, *map(str, arguments)], capture_output=True, text=True, timeout=600, cwd=cwd, check=False
    )  # fmt: skip


def source(folder: Path) -> dict[str, np.ndarray]:
    """What Keras itself answers."""
    model = require("keras").models.load_model(str(folder / "faces.keras"))
    return model.predict(np.load(folder / "images.npz")["x"].astype(np.float32), verbose=0)


def make(folder: Path, out: Path, **options: Any) -> Manifest:
    chosen = {"calibration": folder / "images.npz", "threads": 1, "model_output": "traits,mood,age", **options}
    return convert(ConvertOptions(model=folder / "faces.keras", output=out, **chosen))


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its artifacts in every format."""
    out = tmp_path_factory.mktemp("out")
    make(folder, out, schemes="float32,float16,int8")
    return out


def test_the_manifest_tells_of_the_heads_and_which_classifies(made: Path):
    manifest = Manifest.read(made)
    assert [(head.name, head.output, head.outputs, head.output_kind) for head in manifest.heads] == [
        ("traits", "scores", 3, "sigmoid"),
        ("mood", "mood", 4, "softmax"),
        ("age", "age", 1, "logits"),
    ]
    assert (manifest.outputs, manifest.output_kind, len(manifest.labels), manifest.source.output) == (
        3,
        "sigmoid",
        3,
        "traits,mood,age",
    )
    assert [note for note in manifest.notes if "traits (as scores), mood, age; the first classifies" in note]


def test_every_file_has_all_outputs_in_their_order(folder: Path, made: Path):
    images, expected = np.load(folder / "images.npz")["x"], source(folder)
    manifest = Manifest.read(made)
    assert [(row.name, row.reason) for row in manifest.artifacts if row.status != "ok"] == []
    assert len(manifest.artifacts) == 9
    for row in manifest.artifacts:
        runner = open_runner(made / row.path)
        heads = runner.predict_heads(images)
        np.testing.assert_array_equal(runner.predict(images), heads[0])
        assert row.parity is not None and row.parity.head in ("traits", "mood", "age")
        for name, found in zip(("traits", "mood", "age"), heads, strict=True):
            error = np.abs(found - expected[name]).max() / np.abs(expected[name]).max()
            # the tolerances of verification itself; int8 codes are within a few steps of 1/255 of these few layers' scores
            assert error < {"float32": 1e-4, "float16": 5e-3, "int8": 0.1}[row.scheme], (row.name, name, error)
        outputs = [item for item in describe(made / row.path).outputs if item.name != "classLabel"]
        # a TFLite int8 file's tensors are named after what they were made of; its signature has the heads' names
        assert [item.name.removesuffix("_dequant") for item in outputs] == ["scores", "mood", "age"], row.name
        assert {item.dtype for item in outputs[1:]} == {"float32"}, row.name
        record = read_record(made / row.path)
        assert record is not None and record.heads == manifest.heads


def test_files_name_their_outputs_for_other_tools(made: Path):
    for scheme in ("float32", "int8"):
        signature = Interpreter(model_path=str(made / f"base-tflite-{scheme}.tflite")).get_signature_list()["serving_default"]
        assert sorted(signature["outputs"]) == ["age", "mood", "scores"]
    graph = onnx.load(made / "base-onnx-int8.onnx").graph
    assert [value.name for value in graph.output] == ["scores", "mood", "age"]


def test_a_border_of_uint8_is_that_of_every_output(folder: Path, tmp_path: Path):
    manifest = make(folder, tmp_path, targets=("tflite",), schemes="int8", io="uint8")
    (row,) = manifest.artifacts
    assert row.status == "ok", row.reason
    assert any(note.endswith("in the order of the outputs") and note.count("(code - ") == 3 for note in manifest.notes)
    interpreter = Interpreter(model_path=str(tmp_path / row.path))
    assert [detail["dtype"] for detail in interpreter.get_output_details()] == [np.uint8] * 3
    assert sorted(interpreter.get_signature_list()["serving_default"]["outputs"]) == ["age", "mood", "scores"]
    images, expected = np.load(folder / "images.npz")["x"], source(folder)
    for name, found in zip(("traits", "mood", "age"), open_runner(tmp_path / row.path).predict_heads(images), strict=True):
        assert np.abs(found - expected[name]).max() < 0.1 * np.abs(expected[name]).max(), name  # as above


def test_a_head_that_is_wrong_fails_the_file_by_its_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The model is asked about another image for one head, as if its file had been converted wrongly."""
    from edgecls.models.loaded_model import LoadedModel

    right = LoadedModel.predict_heads
    monkeypatch.setattr(
        LoadedModel, "predict_heads", lambda self, inputs: [*right(self, inputs)[:2], right(self, inputs[::-1])[2]]
    )
    manifest = make(folder, tmp_path, targets=("onnx",), schemes="float32")
    (row,) = manifest.artifacts
    assert row.status == "rejected" and row.reason.startswith("output age: ")
    assert row.parity is not None and row.parity.head == "age"


@pytest.mark.slow  # a process each that imports TensorFlow
def test_the_first_alone_is_benched_and_one_head_is_as_before(folder: Path, made: Path, tmp_path: Path):
    asked = ["bench", made, "--data", folder / "images.npz", "-o", tmp_path / "r.json", "--min-seconds", 0.01, "--min-runs", 3]
    done = edgecls(*asked)
    assert done.returncode == 0, done.stderr
    assert "base-onnx-int8" in done.stdout and "failed" not in done.stdout
    manifest = make(folder, tmp_path / "one", targets=("onnx",), schemes="float32", model_output="mood")
    assert (manifest.heads, manifest.outputs, manifest.source.output) == ([], 4, "mood")
    assert manifest.artifacts[0].parity is not None and manifest.artifacts[0].parity.head == ""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("mood,nose", "found 'nose'"),
        ("mood,mood", "each output once"),
        ("mood,", "found ''"),
        (None, "3 outputs"),
    ],
)
def test_outputs_that_cannot_be_are_one_line(folder: Path, output: str | None, words: str):
    with pytest.raises(EdgeclsError, match=words):
        load_model(folder / "faces.keras", output=output)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["convert", "--add-softmax"], ["compress", "--data", "images.npz", "--prune", "0.5"], ["inspect", "--compression"]],
)
def test_what_takes_one_output_says_so(folder: Path, arguments: list[str]):
    command, *rest = arguments
    done = edgecls(command, folder / "faces.keras", "--output", "mood,age", *rest, cwd=folder)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert "one output" in done.stderr and "--output" in done.stderr
