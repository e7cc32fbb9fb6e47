"""diagnose on real models: what is damaged on purpose comes out first, and the advice it gives repairs the file."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgecls.artifact import Manifest
from edgecls.cli.app import app
from edgecls.diagnosis import Diagnosis
from edgecls.errors import ArtifactError, DataError
from edgecls.extras import require
from edgecls.workflow import ConvertOptions, convert
from edgecls.workflow.diagnose import DiagnoseRequest, diagnose

DAMAGE = 1000.0


@pytest.fixture(scope="module")
def resnet(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagnose") / "out"
    options = ConvertOptions(
        zoo / "mlperf_tiny" / "pretrainedResnet.h5",
        output=folder,
        targets=("tflite",),
        schemes="float32,int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=100,
        preprocess="0..255",
    )
    convert(options)
    return folder


@pytest.fixture(scope="module")
def damaged(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConvertOptions]:
    """The ResNet with one channel of one convolution 1000 times as large, undone where it is read: the same function, but a range that
    leaves int8 nothing for the other channels."""
    folder = tmp_path_factory.mktemp("damaged")
    keras = require("tf_keras")
    model = keras.models.load_model(str(zoo / "mlperf_tiny" / "pretrainedResnet.h5"), compile=False)
    norm, after = _enlarge(model)
    model.save(str(folder / "damaged.h5"))
    assert norm in {layer.name for layer in model.layers} and after in {layer.name for layer in model.layers}
    options = ConvertOptions(
        folder / "damaged.h5",
        output=folder / "out",
        targets=("tflite",),
        schemes="float32,int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=100,
        preprocess="0..255",
        estimator="minmax",
    )
    convert(options)
    return folder / "out", options


def _enlarge(model: Any) -> tuple[str, str]:
    """Names of the BatchNorm that was enlarged and of the convolution that undoes it: the second block's, between which a ReLU stands."""
    norm = model.get_layer("batch_normalization_3")
    gamma, beta, mean, variance = norm.get_weights()
    channel = int(np.argmax(np.abs(gamma)))
    gamma[channel] *= DAMAGE
    beta[channel] *= DAMAGE
    norm.set_weights([gamma, beta, mean, variance])
    after = model.get_layer("conv2d_4")
    kernel, *rest = after.get_weights()
    kernel[:, :, channel] /= DAMAGE
    after.set_weights([kernel, *rest])
    return norm.name, after.name


def test_every_layer_is_measured_worst_first(resnet: Path) -> None:
    found = diagnose(DiagnoseRequest(resnet, limit=24))
    own = [layer.own_snr_db for layer in found.layers if layer.own_snr_db is not None]
    assert own == sorted(own)
    assert len(own) >= 14  # the network's convolutions, additions, pooling and dense layer
    assert found.images == found.calibration_images == 24
    assert found.agreement > 0.9
    # a tensor rounded to 255 steps that uses a tenth of its range still has (25 steps)² / (step² / 12) = 38 dB: none here is near 20
    assert not any(layer.is_weak for layer in found.layers)


def test_the_damaged_layer_comes_first_and_the_advice_repairs_it(damaged: tuple[Path, ConvertOptions], resnet: Path) -> None:
    folder, options = damaged
    sound = diagnose(DiagnoseRequest(resnet, limit=32))
    found = diagnose(DiagnoseRequest(folder, limit=32))
    first = found.layers[0]
    assert "activation_2" in first.name or "batch_normalization_3" in first.name or "activation_3" in first.name, first
    assert first.is_weak and first.cause == "range"
    assert first.range is not None
    advice = next(entry for entry in found.advice if entry.kind == "keep_float")
    assert advice.command
    words = shlex.split(advice.command)
    kept = tuple(words[index + 1] for index, word in enumerate(words) if word == "--keep-float")
    repaired = ConvertOptions(**{**vars(options), "keep_float": kept, "output": folder.parent / "repaired"})
    manifest = convert(repaired)
    int8 = next(row for row in manifest.artifacts if row.scheme == "int8")
    assert int8.actual is not None
    assert any(entry.reason == "asked by --keep-float" for entry in int8.actual.stayed_float)
    after = diagnose(DiagnoseRequest(folder.parent / "repaired", limit=32))
    assert found.snr_db is not None and after.snr_db is not None and sound.snr_db is not None
    assert after.snr_db > found.snr_db + 6  # at most half of the error's amplitude is left
    assert after.snr_db > sound.snr_db - 3  # and the file is about as good as the sound model's


def test_unlike_images_are_told(resnet: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(resnet)
    size = (manifest.image_spec.height, manifest.image_spec.width, manifest.image_spec.channels)
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (8, *size))
    np.savez(tmp_path / "noise.npz", x=noise)
    found = diagnose(DiagnoseRequest(resnet, data=tmp_path / "noise.npz", limit=16))
    assert max(layer.beyond_calibration or 0.0 for layer in found.layers) > 0.001


def test_command_line(resnet: Path) -> None:
    runner = CliRunner()
    table = runner.invoke(app, ["diagnose", str(resnet), "--limit", "4", "--top", "3"])
    assert table.exit_code == 0, table.output
    assert "own SNR dB" in table.stdout
    assert re.search(r"layers that add less are not shown", table.stdout)
    printed = runner.invoke(app, ["diagnose", str(resnet), "--limit", "4", "--json"])
    assert Diagnosis.model_validate_json(json.dumps(json.loads(printed.stdout))).images == 4


def test_what_cannot_be_diagnosed_is_refused(zoo: Path, resnet: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="quantized TFLite artifact"):
        diagnose(DiagnoseRequest(resnet, artifact="base-tflite-int9"))
    only = tmp_path / "only"
    convert(ConvertOptions(zoo / "mlperf_tiny" / "pretrainedResnet.h5", output=only, targets=("tflite",), schemes="dynamic"))
    with pytest.raises(ArtifactError, match="float self"):
        diagnose(DiagnoseRequest(only))
    convert(ConvertOptions(zoo / "mlperf_tiny" / "pretrainedResnet.h5", output=only, targets=("tflite",), schemes="float32"))
    with pytest.raises(DataError, match="images"):
        diagnose(DiagnoseRequest(only))
    (only / "base-tflite-float32.tflite").write_bytes(b"changed")
    result = CliRunner().invoke(app, ["diagnose", str(only), "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "changed since conversion" in result.stderr
