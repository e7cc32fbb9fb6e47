"""docs/models-of-others.md, done: PyTorch's ResNet18 as ONNX, with ONNX Runtime's dynamic quantization, beside a model of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgecls.records.app_contract import AppContract
from embed.apps import web_app
from served import Server

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-torch"  # of its own: PyTorch weighs gigabytes, and nothing of edgecls needs it
EXPORT = """
import sys, torch, torchvision
torch.manual_seed(0)
model = torchvision.models.resnet18(weights=None).eval()
torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), sys.argv[1], input_names=["image"], output_names=["scores"],
                  dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}}, dynamo=False)
"""
SIZES = {"resnet18": 46_700_000, "resnet18-dynamic": 11_700_000}  # bytes: 11.7 million weights of four, and of one


def torch_python() -> Path:
    """The environment's Python, installed first where it is absent."""
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not list(ENVIRONMENT.glob("**/site-packages/torchvision-*.dist-info/RECORD")):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", "torch==2.13.0", "torchvision==0.28.0", "onnx"]
        subprocess.run(command, check=True, capture_output=True, timeout=800)
    return python


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> file: as PyTorch exports it, and with ONNX Runtime's dynamic quantization. The weights are random."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder = tmp_path_factory.mktemp("resnet18")
    files = {name: folder / f"{name}.onnx" for name in SIZES}
    try:
        python = torch_python()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"PyTorch cannot be installed here: {error}")
    subprocess.run([python, "-c", EXPORT, files["resnet18"]], check=True, capture_output=True, timeout=600)
    quantize_dynamic(files["resnet18"], files["resnet18-dynamic"], weight_type=QuantType.QUInt8)
    return files


@pytest.mark.slow
def test_they_are_inspected_benched_beside_ours(edgecls: Callable[..., Any], resnet18: dict[str, Path], tmp_path: Path) -> None:
    import keras

    image = keras.Input((32, 32, 3))
    scores = keras.layers.Dense(1000, activation="softmax")(keras.layers.GlobalAveragePooling2D()(image))
    keras.Model(image, scores).save(tmp_path / "ours.keras")
    out = tmp_path / "ours"
    made = edgecls(
        "convert", tmp_path / "ours.keras", "--targets", "onnx", "--schemes", "float32", "--labels", "imagenet", "-o", out
    )
    assert made.exit_code == 0, made.output

    for name, path in resnet18.items():
        found = json.loads(edgecls("inspect", path, "--json").stdout)
        assert found["size_bytes"] == pytest.approx(SIZES[name], rel=0.02)  # beside the weights there are names and shapes
        assert ("ConvInteger" in found["actual"]["operations"]) == (name != "resnet18")

    results = tmp_path / "results.json"
    options = ["--preprocess", "imagenet-torch", "--fit", "crop=0.875", "--min-seconds", "0", "--min-runs", "3"]
    done = edgecls("bench", out, *resnet18.values(), *options, "-o", results)
    assert done.exit_code == 0, done.output
    rows = {row["artifact"]: row for row in json.loads(results.read_text())["measurements"]}
    assert set(rows) == {"base-onnx-float32", *resnet18}
    assert all(row["status"] == "ok" and row["latency"]["runs"] >= 3 for row in rows.values())

    (tmp_path / "daisy.png").parent.mkdir(exist_ok=True)
    Image.new("RGB", (300, 200), (250, 240, 120)).save(tmp_path / "daisy.png")
    shown = edgecls("predict", resnet18["resnet18"], tmp_path / "daisy.png", *options[:4], "--labels", "imagenet", "--json")
    (answer,) = json.loads(shown.stdout)["answers"]
    assert not answer["predictions"][0]["label"].startswith("class_")

    app = web_app(tmp_path / "app")
    put = edgecls("embed", resnet18["resnet18"], "--into", app, *options[:4], "--labels", "imagenet")
    assert put.exit_code == 0, put.output
    contract = AppContract.read_file(app / "public/edgecls/edgecls.json")
    assert contract.labels[0] == "tench" and contract.image_spec.layout == "CHW"
    assert contract.artifacts[0].input.shape == [1, 3, 224, 224]

    with Server([resnet18["resnet18"], resnet18["resnet18-dynamic"], *options[:4]]) as server:
        for name in SIZES:
            reply = server.ask("POST", f"/predict?artifact={name}", (tmp_path / "daisy.png").read_bytes())
            assert reply.status == 200, reply.body
