"""diagnose: layers that were damaged on purpose come out first, and what it advises repairs them."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgecls.cli.app import app
from edgecls.errors import ArtifactError, DataError
from edgecls.formats import file_sizes, sha256
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.parameters import read_parameters
from edgecls.quantization.ranges import Range
from edgecls.quantization.reduced import reduce_tflite
from edgecls.quantization.tensors import Tensors
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.diagnosis import Diagnosis
from edgecls.workflow import ConvertOptions, convert
from edgecls.workflow.diagnose import DiagnoseRequest, diagnose

INT8 = "base-tflite-int8"


@pytest.fixture(scope="module")
def options(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ConvertOptions:
    """How ResNet-8 is converted for these tests."""
    return ConvertOptions(
        model=zoo / "mlperf_tiny" / "pretrainedResnet.h5",
        preprocess="0..255",
        targets=("tflite", "onnx"),
        schemes="float32,dynamic,int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=100,
        data=shared_data / "cifar10.npz",
        output=tmp_path_factory.mktemp("diagnose") / "out",
    )


@pytest.fixture(scope="module")
def folder(options: ConvertOptions) -> Path:
    """ResNet-8, converted."""
    convert(options)
    return options.folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder of one's own to damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def replace_artifact(folder: Path, name: str, model: bytes) -> None:
    """Put other bytes in an artifact's place, manifest and all: as if they had been converted so."""
    manifest = Manifest.read(folder)
    row = next(artifact for artifact in manifest.artifacts if artifact.name == name)
    path = folder / row.path
    path.write_bytes(model)
    row.size_bytes, row.compressed_bytes = file_sizes(path)
    row.sha256 = sha256(path)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")


def quantized_with_wrong_range(folder: Path, layer: str, factor: float, float_layers: tuple[str, ...] = ()) -> bytes:
    """The int8 file anew with the ranges it has, but one layer's scaled."""
    graph = TFLiteGraph((folder / "base-tflite-float32.tflite").read_bytes())
    affine = read_parameters((folder / f"{INT8}.tflite").read_bytes()).activations
    ranges = {name: Range(0.0, 1.0) for name in Tensors(graph).onnx_names}
    for name, value in affine.items():
        scale, zero = float(value.scale[0]), int(value.zero_point[0])
        ranges[name] = Range((-128 - zero) * scale, (127 - zero) * scale)
    ranges[layer] = Range(ranges[layer].low * factor, ranges[layer].high * factor)
    return reduce_tflite(graph, "int8", ranges, float_layers=float_layers)


def run(folder: Path, artifact: str = INT8, limit: int = 40, data: Path | None = None) -> Diagnosis:
    return diagnose(DiagnoseRequest(folder, artifact=artifact, limit=limit, data=data))


@pytest.mark.parametrize("name", [INT8, "base-onnx-int8", "base-tflite-dynamic"])
def test_what_a_layer_adds_is_never_more_than_what_has_accumulated_behind_the_first(folder: Path, name: str):
    found = run(folder, name)
    layers = {layer.name: layer for layer in found.layers}
    own = [layer.own_snr_db for layer in found.layers if layer.own_snr_db is not None]
    assert own == sorted(own)
    kernels = [layer for layer in found.layers if layer.weights]
    assert len(kernels) == 10  # nine convolutions and the dense layer
    first = next(layer for layer in kernels if "conv2d/" in layer.name)
    if name == "base-tflite-dynamic":
        # its input is the float model's own: all that accumulated is its own
        assert first.snr_db == pytest.approx(first.own_snr_db, abs=1e-3)
        assert {layer.cause for layer in kernels} == {"weights"}
        assert all(layer.range is None for layer in found.layers)
    assert found.images == 40
    assert found.snr_db == layers[found.layers[-1].name].snr_db or found.snr_db in {layer.snr_db for layer in found.layers}


def test_the_two_parts_of_an_error_add_up(folder: Path, shared_data: Path):
    """y' - y = (y' - f(x')) + (f(x') - y): where a layer's inputs are exact, its own error is all there is."""
    from edgecls.data import open_images
    from edgecls.diagnosis.layers_onnx import OnnxLayers
    from edgecls.diagnosis.layers_tflite import TFLiteLayers

    spec = Manifest.read(folder).image_spec
    image = spec.apply(next(open_images(shared_data / "cifar10.npz", spec, role="data", limit=1).batches()))
    for runner in (
        TFLiteLayers(folder / "base-tflite-float32.tflite", folder / f"{INT8}.tflite"),
        OnnxLayers(folder / "base-onnx-float32.onnx", folder / "base-onnx-int8.onnx"),
    ):
        values = runner.run(image)
        assert values.float_model.keys() == values.quantized.keys() == values.layer_alone.keys()
        # codes of 0..255 in steps of one hold these pixels exactly, so that the first convolution has the float model's input
        first = next(layer.name for layer in runner.layers if layer.weights is not None)
        np.testing.assert_allclose(values.layer_alone[first], values.float_model[first], rtol=1e-4, atol=1e-4)
        last = runner.layers[-2].name
        assert np.abs(values.layer_alone[last] - values.float_model[last]).max() > 1e-3  # further on inputs differ
        for layer in runner.layers:
            if layer.codes is not None:
                codes = values.quantized[layer.name] / layer.codes.scale
                assert np.abs(codes - np.rint(codes)).max() < 1e-2  # real values of codes, no others


def test_a_wrong_range_comes_out_first_and_its_layers_float_repair_it(copy: Path):
    sound = run(copy)
    damaged = next(layer.name for layer in sound.layers if "conv2d_3/" in layer.name)
    readers = tuple(next(layer.readers for layer in sound.layers if layer.name == damaged))
    original = (copy / f"{INT8}.tflite").read_bytes()
    replace_artifact(copy, INT8, quantized_with_wrong_range(copy, damaged, 0.05))
    found = run(copy)
    worst = found.layers[0]
    assert (worst.name, worst.cause) == (damaged, "range")
    # 255 steps of a range that is used to a tenth still have (25 steps)² / (step² / 12) = 38 dB: no sound layer is near 20
    assert worst.is_weak and not any(layer.is_weak for layer in sound.layers)
    assert worst.range is not None and worst.range.clipped > 0.2
    assert worst.range.used > 0.95
    assert found.snr_db is not None and sound.snr_db is not None and found.snr_db < sound.snr_db - 6
    kept = next(step for step in found.advice if step.kind == "keep_float")
    assert kept.command is not None and "--keep-float conv2d_3 " in kept.command
    assert {"estimator"} <= {step.kind for step in found.advice}

    (copy / f"{INT8}.tflite").write_bytes(original)
    replace_artifact(copy, INT8, quantized_with_wrong_range(copy, damaged, 0.05, (damaged, *readers)))
    repaired = run(copy)
    # The tensor is never rounded now: no worse than the sound file but for chance, which moves the ratio by less than a decibel or two.
    assert repaired.snr_db is not None and repaired.snr_db > sound.snr_db - 2
    assert next(layer for layer in repaired.layers if layer.name == damaged).own_snr_db is None


def test_a_channel_of_thousandfold_weights_comes_out_first_and_what_is_advised_repairs_it(
    folder: Path, options: ConvertOptions, tmp_path: Path
):
    """The float model computes the same: ReLU lets a factor through, and the next layer takes it back."""
    import tf_keras

    model: Any = tf_keras.models.load_model(options.model, compile=False)
    kernel, bias = model.get_layer("conv2d_1").get_weights()
    gamma, beta, mean, variance = model.get_layer("batch_normalization_1").get_weights()
    following, following_bias = model.get_layer("conv2d_2").get_weights()
    kernel[..., 3] *= 1000
    bias[3], mean[3], variance[3], beta[3] = bias[3] * 1000, mean[3] * 1000, variance[3], beta[3] * 1000
    following[:, :, 3] /= 1000
    model.get_layer("conv2d_1").set_weights([kernel, bias])
    model.get_layer("batch_normalization_1").set_weights([gamma, beta, mean, variance])
    model.get_layer("conv2d_2").set_weights([following, following_bias])
    damaged = tmp_path / "loud.h5"
    model.save(damaged)
    settings = dataclasses.replace(options, model=damaged, targets=("tflite",), schemes="float32,int8", output=tmp_path / "out")
    convert(dataclasses.replace(settings, verify=False))
    sound, found = run(folder), run(settings.folder)
    worst = found.layers[0]
    assert "conv2d_1/" in worst.name or "conv2d_2/" in worst.name
    loud = next(layer for layer in found.layers[:2] if "conv2d_1/" in layer.name)
    assert loud.cause == "range"
    assert loud.weights is not None and loud.weights.channel_spread > 100
    kept = next(step for step in found.advice if step.kind == "keep_float")
    assert kept.command is not None
    words = kept.command.split()
    names = tuple(words[place + 1] for place, word in enumerate(words) if word == "--keep-float")
    assert {"conv2d_1", "conv2d_2"} <= set(names)
    convert(dataclasses.replace(settings, keep_float=names))
    repaired = run(settings.folder)
    assert sound.snr_db is not None and found.snr_db is not None and repaired.snr_db is not None
    assert found.snr_db < sound.snr_db - 6
    # Neither the loud tensor nor the weights that read it are rounded now; what else there is, is what the sound model has.
    assert repaired.snr_db > sound.snr_db - 2


@pytest.mark.slow
def test_a_small_or_foreign_calibration_set_is_told(options: ConvertOptions, shared_data: Path, tmp_path: Path):
    dark = tmp_path / "dark.npz"
    with np.load(shared_data / "cifar10.npz") as archive:
        np.savez(dark, x=archive["x_train"][:60] // 8)
    small = dataclasses.replace(options, calibration=dark, calibration_images=60, targets=("tflite",), schemes="float32,int8")
    convert(dataclasses.replace(small, output=tmp_path / "dark", estimator="minmax", verify=False))
    kinds = {step.kind for step in run(tmp_path / "dark").advice}
    assert "other_calibration" in kinds
    few = dataclasses.replace(options, calibration_images=6, targets=("tflite",), schemes="float32,int8", output=tmp_path / "few")
    convert(few)
    found = run(tmp_path / "few")
    step = next(step for step in found.advice if step.kind == "more_calibration")
    assert step.command is not None and "--calibration-images 24 " in step.command
    assert found.calibration_images == 6


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(folder: Path, tmp_path: Path):
    """Sums and histograms alone stay: four times the images hold no more."""
    code = (
        "import resource, sys; from pathlib import Path; from edgecls.workflow.diagnose import DiagnoseRequest, diagnose\n"
        "diagnose(DiagnoseRequest(Path(sys.argv[1]), limit=int(sys.argv[2])))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    small, large = (
        int(subprocess.run([sys.executable, "-c", code, folder, count], capture_output=True, text=True, check=True).stdout)
        for count in ("100", "1600")
    )
    # 1,500 images are 4.6 MB of pixels and 900 MB of tensors; allocators and page granularity move a peak by some MB
    assert large < small + 16 * 1024


def test_bad_input_is_refused_in_one_line(copy: Path, shared_data: Path, tmp_path: Path):
    def refused(error: type[Exception], match: str, **request: object) -> None:
        with pytest.raises(error, match=match) as caught:
            diagnose(DiagnoseRequest(**{"folder": copy, **request}))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)

    refused(ArtifactError, "artifacts folder", folder=tmp_path / "nothing")
    refused(ArtifactError, "base-onnx-int8", artifact="base-tflite-float32")
    refused(DataError, "does not exist", data=tmp_path / "nothing")
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, x=np.zeros((4, 7), np.float32))
    refused(DataError, "found", data=wrong)
    manifest = Manifest.read(copy)
    with (copy / f"{INT8}.tflite").open("ab") as stream:
        stream.write(b"more")
    refused(ArtifactError, "changed since conversion", artifact=INT8)
    keep_rows(copy, manifest, lambda row: row.scheme != "float32")
    refused(ArtifactError, "float32 onnx artifact", artifact="base-onnx-int8")
    keep_rows(copy, manifest, lambda row: row.scheme == "float32")
    refused(ArtifactError, "int8 or dynamic")


def keep_rows(folder: Path, manifest: Manifest, kept: Callable[[Artifact], bool]) -> None:
    """A manifest that tells of some artifacts alone."""
    rows = [row for row in manifest.artifacts if kept(row)]
    (folder / "manifest.json").write_text(manifest.model_copy(update={"artifacts": rows}).to_json(), encoding="utf-8")


def test_the_command_prints_a_table_advice_and_json(folder: Path):
    shown = CliRunner().invoke(app, ["diagnose", str(folder), "--limit", "10", "--top", "3"])
    assert shown.exit_code == 0, shown.output
    assert "own SNR dB" in shown.stdout
    assert "not shown: 13 layers of less error" in shown.stdout
    assert "→ " in shown.stdout
    found = CliRunner().invoke(app, ["diagnose", str(folder), "--limit", "4", "--json"])
    assert Diagnosis.model_validate_json(found.stdout).artifact == INT8
    wrong = CliRunner().invoke(app, ["diagnose", str(folder), "--data", "nowhere"])
    assert wrong.exit_code == 2
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_a_rejected_artifact_is_diagnosed(copy: Path):
    manifest = Manifest.read(copy)
    row = next(artifact for artifact in manifest.artifacts if artifact.name == INT8)
    (copy / row.path).rename(copy / f"{row.path}.rejected")
    row.status, row.path = "rejected", f"{row.path}.rejected"
    (copy / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    assert run(copy, limit=4).artifact == INT8
