"""`--io`: TFLite int8 files that take and give uint8 or int8, read back and held against the file with a float border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgecls.formats import describe
from edgecls.formats.tflite.declared import read_declared
from edgecls.records.artifact import Artifact, Border, Manifest
from edgecls.runners import open_runner
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert

NAME = "base-tflite-int8.tflite"


def made(model: Path, images: Path, out: Path, border: Border, preprocess: str, targets=("tflite",)) -> Manifest:
    options = ConvertOptions(
        model=model,
        calibration=images,
        io=border,
        preprocess=preprocess,
        targets=targets,
        schemes="int8",
        output=out,
    )
    return convert(options)


def codes(path: Path, stored: np.ndarray) -> tuple[np.ndarray, dict]:
    """What LiteRT itself makes of stored input values [N, H, W, C]: the stored scores [N, outputs], and the output's details."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == stored.dtype
    found = []
    for image in stored:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    return np.array(found), target


@pytest.fixture(scope="module")
def pixels(small_images: Path) -> np.ndarray:
    with np.load(small_images) as archive:
        return archive["x"]


@pytest.mark.parametrize("preprocess", ["0..1", "0..255", "scale=1/255,mean=0.2,std=0.25"])
def test_pixels_are_the_codes_where_the_mean_is_a_whole_pixel(small_model, small_images, pixels, tmp_path, preprocess):
    """Camera bytes go in as they are. The scores are those of the float border within one code: rounding a score is half of one, the table
    that int8 softmax reads up to another half."""
    manifest = made(small_model, small_images, tmp_path / "uint8", "uint8", preprocess)
    (row,) = manifest.artifacts
    assert row.status == "ok", row.reason
    assert row.actual is not None
    assert (row.requested.io, row.actual.input_dtype, row.actual.output_dtype) == ("uint8", "uint8", "uint8")
    assert not row.actual.stayed_float
    assert any("takes uint8: pixels 0..255 as they are" in note for note in manifest.notes)
    assert not any("MediaPipe" in note for note in manifest.notes)
    found, target = codes(tmp_path / "uint8" / NAME, pixels)
    made(small_model, small_images, tmp_path / "float32", "float32", preprocess)
    expected = open_runner(tmp_path / "float32" / NAME).predict(pixels)
    scale, zero = target["quantization"]
    assert target["dtype"] == np.uint8
    assert np.abs((found.astype(np.float32) - zero) * scale - expected).max() <= scale * 1.001
    np.testing.assert_allclose(open_runner(tmp_path / "uint8" / NAME).predict(pixels), (found.astype(np.float32) - zero) * scale)


@pytest.mark.parametrize("preprocess", ["-1..1", "imagenet-torch"])
def test_other_codes_are_no_pixels(small_model, small_images, pixels, tmp_path, preprocess):
    """No whole pixel is the mean, or channels have their own: the manifest says so, and the runner makes the codes. Scores as above."""
    manifest = made(small_model, small_images, tmp_path / "uint8", "uint8", preprocess)
    assert any("takes uint8: not pixels, but the codes" in note for note in manifest.notes)
    assert any("not for MediaPipe" in note for note in manifest.notes)
    made(small_model, small_images, tmp_path / "float32", "float32", preprocess)
    ours, theirs = (open_runner(tmp_path / border / NAME).predict(pixels) for border in ("uint8", "float32"))
    assert np.abs(ours - theirs).max() <= 1.001 / 256  # the scale of softmax scores


@pytest.mark.parametrize("border", ["uint8", "int8"])
def test_the_other_formats_are_as_ever(small_model, small_images, tmp_path, border: Border):
    """ONNX and Core ML take floats and hold the same parameters, and are as good, whatever TFLite takes."""
    targets = ("tflite", "onnx", "coreml")

    def others(border: Border) -> list[tuple[str, str, Artifact]]:
        rows = made(small_model, small_images, tmp_path / border, border, "0..1", targets).artifacts
        assert {row.status for row in rows} == {"ok"}
        return [(row.name, row.actual.input_dtype if row.actual else "", row) for row in rows if row.target != "tflite"]

    for (name, dtype, row), (_, other_dtype, other) in zip(others(border), others("float32"), strict=True):
        assert dtype == other_dtype, name
        assert row.requested.io == "float32"
        assert row.actual == other.actual
        assert row.parity and other.parity and row.parity.snr_db == other.parity.snr_db


def test_labels_signature_and_measurement(command, small_model, small_images, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nemu\n")
    out = tmp_path / "out"
    options = ["--calibration", small_images, "--schemes", "float32,int8", "--targets", "tflite", "--labels", labels]
    done = command("convert", small_model, *options, "--io", "uint8", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "uint8 in and out" in done.stdout
    assert read_declared(out / NAME).labels == ("cat", "dog", "emu")
    interpreter = Interpreter(str(out / NAME))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}
    assert [tensor.dtype for tensor in (*describe(out / NAME).inputs, *describe(out / NAME).outputs)] == ["uint8", "uint8"]
    report = bench(BenchRequest(folder=out, data=small_images))
    assert {row.status for row in report.measurements} == {"ok"}
    assert command("predict", out / NAME, small_images).exit_code == 0
    diagnosed = command("diagnose", out, "--data", small_images)
    assert diagnosed.exit_code == 0, diagnosed.stderr


@pytest.mark.parametrize(("options", "expected"), [(["--io", "int16"], "--io among"), (["--io", "uint8"], "--io uint8")])
def test_what_nothing_heeds_is_refused(command, small_model, tmp_path, options, expected):
    done = command("convert", small_model, *options, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert expected in done.stderr
