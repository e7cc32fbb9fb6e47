"""`--io`: TFLite int8 files that take and give uint8 or int8, read back and held against the file with a float border."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from edgecls.formats import describe
from edgecls.formats.tflite.declared import read_declared
from edgecls.records.artifact import Border, Manifest, Target
from edgecls.runners import open_runner
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert

NAME = "base-tflite-int8.tflite"


@dataclass(frozen=True)
class Made:
    """One conversion."""

    folder: Path
    manifest: Manifest

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Scores of the TFLite file."""
        return open_runner(self.folder / NAME).predict(pixels)


@pytest.fixture(scope="module")
def made(small_model: Path, small_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Converts to int8 with a border, a preprocessing and targets, each set of them once."""

    @functools.cache
    def make(border: Border, preprocess: str = "0..1", targets: tuple[Target, ...] = ("tflite",)) -> Made:
        folder = tmp_path_factory.mktemp("artifacts")
        options = ConvertOptions(
            model=small_model,
            calibration=small_images,
            io=border,
            preprocess=preprocess,
            targets=targets,
            schemes="int8",
            output=folder,
        )
        return Made(folder, convert(options))

    return make


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
def test_pixels_are_the_codes_where_the_mean_is_a_whole_pixel(made: Callable[..., Made], pixels, preprocess):
    """Camera bytes go in as they are. The scores are those of the float border within one code: rounding a score is half of one, the table
    that int8 softmax reads up to another half."""
    ours = made("uint8", preprocess)
    (row,) = ours.manifest.artifacts
    assert row.status == "ok", row.reason
    assert row.actual is not None
    assert (row.requested.io, row.actual.input_dtype, row.actual.output_dtype) == ("uint8", "uint8", "uint8")
    assert not row.actual.stayed_float
    assert any("takes uint8: pixels 0..255 as they are" in note for note in ours.manifest.notes)
    assert not any("MediaPipe" in note for note in ours.manifest.details)
    found, target = codes(ours.folder / NAME, pixels)
    expected = made("float32", preprocess).predict(pixels)
    scale, zero = target["quantization"]
    assert target["dtype"] == np.uint8
    assert np.abs((found.astype(np.float32) - zero) * scale - expected).max() <= scale * 1.001
    np.testing.assert_allclose(ours.predict(pixels), (found.astype(np.float32) - zero) * scale)


@pytest.mark.parametrize("preprocess", ["-1..1", "imagenet-torch"])
def test_other_codes_are_no_pixels(made: Callable[..., Made], pixels, preprocess):
    """No whole pixel is the mean, or channels have their own: the manifest says so, and the runner makes the codes. Scores as above."""
    ours = made("uint8", preprocess)
    assert any("takes uint8: not pixels, but the codes" in note for note in ours.manifest.notes)
    assert any("not for MediaPipe" in note for note in ours.manifest.details)
    theirs = made("float32", preprocess)
    assert np.abs(ours.predict(pixels) - theirs.predict(pixels)).max() <= 1.001 / 256  # the scale of softmax scores


@pytest.mark.parametrize(("border", "targets"), [("uint8", ("onnx", "coreml")), ("int8", ("onnx",))])
def test_the_other_formats_are_as_ever(made: Callable[..., Made], border: Border, targets: tuple[Target, ...]):
    """ONNX and Core ML take floats and hold the same parameters, and are as good, whatever TFLite takes."""
    theirs = {row.name: row for row in made("float32", targets=("tflite", "onnx", "coreml")).manifest.artifacts}
    rows = made(border, targets=("tflite", *targets)).manifest.artifacts
    assert {row.status for row in rows} == {"ok"}
    for row in rows[1:]:
        other = theirs[row.name]
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
    assert "takes uint8: pixels 0..255 as they are" in done.stdout
    assert read_declared(out / NAME).labels == ("cat", "dog", "emu")
    interpreter = Interpreter(str(out / NAME))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}
    assert [tensor.dtype for tensor in (*describe(out / NAME).inputs, *describe(out / NAME).outputs)] == ["uint8", "uint8"]
    report = bench(BenchRequest(folder=out, data=small_images))
    assert {row.status for row in report.measurements} == {"ok"}
    with np.load(small_images) as archive:
        Image.fromarray(archive["x"][0]).save(tmp_path / "image.png")
    assert command("predict", out / NAME, tmp_path / "image.png").exit_code == 0
    diagnosed = command("diagnose", out, "--data", small_images)
    assert diagnosed.exit_code == 0, diagnosed.stderr


@pytest.mark.parametrize(("options", "expected"), [(["--io", "int16"], "--io among"), (["--io", "uint8"], "--io uint8")])
def test_what_nothing_heeds_is_refused(command, small_model, tmp_path, options, expected):
    done = command("convert", small_model, *options, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert expected in done.stderr
