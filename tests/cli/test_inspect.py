"""`edgecls inspect` on artifacts, folders of artifacts and models."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from edgecls.records.artifact import MANIFEST_NAME, Artifact, Manifest, Requested, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.system.extras import require
from gate_folder import FLOAT, INT8, make_folder

Command = Callable[..., Result]


def test_an_artifact(edgecls: Command, classifier: Path) -> None:
    result = edgecls("inspect", classifier)
    assert result.exit_code == 0
    flowing = " ".join(result.stdout.split())
    for expected in (
        "34 weights",  # 16 x 2 and 2 biases
        "input image 1 × 4 × 4 × 1 float32",
        "output scores 1 × 2 float32",
        "1 Gemm",
        "head Gemm 34 float32 136 B 100.0% 0.0%",
        "labels: 2: dark, bright",
        "preprocessing: pixel / 255, GRAY, 4 × 4 (declared) as trained",
    ):
        assert expected in flowing


def test_json_of_an_artifact(edgecls: Command, classifier: Path) -> None:
    found = json.loads(edgecls("inspect", classifier, "--json").stdout)
    assert found["actual"]["weight_dtypes"] == {"float32": 34}
    assert found["record"]["labels"] == ["dark", "bright"]
    assert found["size_bytes"] == classifier.stat().st_size


def test_a_folder_of_artifacts(edgecls: Command, tmp_path: Path) -> None:
    artifact = Artifact(
        name="base-onnx-float32",
        path="base.onnx",
        target="onnx",
        scheme="float32",
        requested=Requested(target="onnx", scheme="float32"),
        size_bytes=2048,
        compressed_bytes=1024,
    )
    manifest = Manifest(
        created=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        edgecls_version="0.1.0",
        source=Source(name="digits.h5", sha256="0" * 64, format="keras2-h5"),
        image_spec=ImageSpec(height=8, width=8, channels=1, color_order="GRAY"),
        labels=["a", "b", "c"],
        labels_source="file",
        output_kind="softmax",
        outputs=3,
        toolchain={},
        artifacts=[artifact],
    )
    (tmp_path / MANIFEST_NAME).write_text(manifest.model_dump_json())
    shown = edgecls("inspect", tmp_path).stdout
    assert "digits.h5 (keras2-h5), 3 outputs, 3 labels, made by edgecls 0.1.0" in shown
    assert "base-onnx-float32" in shown
    assert "2.0 KiB" in shown
    assert json.loads(edgecls("inspect", tmp_path, "--json").stdout)["source"]["name"] == "digits.h5"


def test_a_folder_whose_files_are_others_now_says_so(edgecls: Command, tmp_path: Path) -> None:
    make_folder(tmp_path, {FLOAT: 16, INT8: 16})
    assert edgecls("inspect", tmp_path).stderr == ""
    path = tmp_path / f"{FLOAT}.onnx"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    (tmp_path / f"{INT8}.onnx").unlink()
    result = edgecls("inspect", tmp_path)
    assert result.exit_code == 0
    cut, gone = result.stderr.splitlines()
    assert cut.startswith(f"note: {FLOAT} is not what was made: changed since conversion: expected {size:,} bytes, found ")
    assert gone.startswith(f"note: {INT8} is not what was made: cannot be read: ")


@pytest.mark.parametrize(
    ("model", "options", "weights", "expected"),
    [
        # the numbers of weights are those of model.summary()
        ("sign_mnist/best_model.keras", [], 250_137, {"Conv2D": 3, "Dense": 3, "Dropout": 4, "MaxPooling2D": 3, "Flatten": 1}),
        ("mnist_tensorspace/topology.json", ["--weights", "mnist_tensorspace/weights.h5"], 44_426, {"Conv2D": 2, "Dense": 3}),
        ("mnist_tensorspace/saved_model_tf1", [], 61_706, {"Conv2D": 2, "MatMul": 3, "MaxPool": 2, "Softmax": 1}),
        ("teachable_machine_water/keras_model.h5", [], 538_508, {"Conv2D": 35, "DepthwiseConv2D": 17, "Dense": 2}),
    ],
)
def test_a_model(edgecls: Command, zoo: Path, model: str, options: list[str], weights: int, expected: dict[str, int]) -> None:
    more = [str(zoo / option) if "/" in option else option for option in options]
    result = edgecls("inspect", zoo / model, *more, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["actual"]["weight_dtypes"] == {"float32": weights}
    assert sum(layer["elements"] for layer in found["layers"]) == weights
    operations = found["actual"]["operations"]
    assert {name: operations.get(name) for name in expected} == expected


def test_a_model_with_swish(edgecls: Command, tmp_path: Path) -> None:
    """TensorFlow gives swish a gradient of its own, by an operation that has a list of dtypes."""
    keras = require("keras")
    layers = keras.layers
    scores = [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="swish"), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    keras.Sequential(scores).save(tmp_path / "model.keras")
    result = edgecls("inspect", tmp_path / "model.keras", "--json")
    assert result.exit_code == 0, result.stderr
    assert set(json.loads(result.stdout)["actual"]["activation_dtypes"]) == {"float32"}


@pytest.mark.parametrize("name", ["missing.tflite", "missing.h5", "missing"])
def test_a_missing_file_is_one_line_and_exit_2(edgecls: Command, tmp_path: Path, name: str) -> None:
    result = edgecls("inspect", tmp_path / name)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: expected ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content"), [("a.tflite", b"12345678TFL3"), ("a.onnx", b"\xff" * 99), ("a.bin", b"abc"), ("a.h5", b"")]
)
def test_a_damaged_file_is_one_line_and_exit_2(edgecls: Command, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = edgecls("inspect", path)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_what_compression_can_do(edgecls: Command, zoo: Path) -> None:
    model = zoo / "face_xception/fer2013_mini_XCEPTION.102-0.66.hdf5"
    result = edgecls("inspect", model, "--compression")
    assert result.exit_code == 0
    lines = {line.split()[0]: " ".join(line.split()) for line in result.stdout.splitlines() if line.strip()}
    assert lines["batch_normalization_1"].endswith("folded into conv2d_1, before it")
    assert lines["separable_conv2d_1"].endswith("yes yes becomes separable_conv2d_1_depthwise and separable_conv2d_1_pointwise")
    found = json.loads(edgecls("inspect", model, "--compression", "--json").stdout)
    floats = [row["layer"] for row in found["layers"] if row["quantized"].startswith("float")]
    assert [row["kind"] for row in found["layers"] if row["layer"] in floats] == ["Activation"]  # softmax
    assert found["largest_difference"] <= 1e-5


def test_compression_of_what_cannot_be_trained(edgecls: Command, zoo: Path, classifier: Path) -> None:
    for path, text in ((zoo / "mnist_tensorspace/saved_model_tf1", "without layers to train"), (classifier, "which is none")):
        result = edgecls("inspect", path, "--compression")
        assert result.exit_code == 2
        assert text in " ".join(result.stderr.split())
