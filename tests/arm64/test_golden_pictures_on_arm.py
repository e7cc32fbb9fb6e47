"""ARM sees the golden pictures that `edgecls embed` writes as x86 does, and answers alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import golden_there
from edgecls.embed.golden import FOLDER, score_pixels, write_pictures
from edgecls.records.artifact import Manifest
from edgecls.workflow import ConvertOptions, convert

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1800)]

FLOAT_APART = 1e-3  # sums in another order, through all layers
CODE = 1 / 256  # of an int8 softmax
JPEG_LEVELS, JPEG_MEAN = 2, 0.1  # between two decoders of JPEG


@pytest.fixture(scope="module", params=["resnet", "mobilenet"])
def artifacts(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def mobilenet(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float and int8 artifacts of MobileNetV1-0.25."""
    model, out = zoo / "imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", tmp_path_factory.mktemp("mobilenet") / "artifacts"
    images = {"calibration": shared_data / "flowers", "calibration_images": 100}
    convert(ConvertOptions(model, out, ("tflite", "onnx"), schemes="float32,int8", preprocess="-1..1", **images))
    return out


@pytest.mark.parametrize("processor", ["cortex-a53", "cortex-a76"])
def test_golden_pictures(artifacts: Path, machines: Path, tmp_path: Path, processor: str) -> None:
    manifest = Manifest.read(artifacts)
    pictures, _ = write_pictures(tmp_path, manifest.image_spec, None)
    pictures.sort(key=lambda picture: picture.file)
    answers = tmp_path / "answers.npz"
    command = [machines / f"qemu-{processor}", golden_there.__file__, artifacts, tmp_path / FOLDER, answers]
    subprocess.run(command, check=True, timeout=1500)
    with np.load(answers) as found:
        there = dict(found)
    for picture, pixels in zip(pictures, there.pop("pixels"), strict=True):
        apart = np.abs(pixels.astype(int) - picture.pixels)
        if picture.decoding == "lossless":
            assert not apart.any(), picture.name
        else:
            assert (apart.max() <= JPEG_LEVELS, apart.mean() < JPEG_MEAN) == (True, True), picture.name
    judged = {row.name: row for row in manifest.artifacts if row.scheme in ("float32", "int8")}
    assert len(judged) == 4
    paths = {name: artifacts / row.path for name, row in judged.items()}
    here = score_pixels(paths, manifest.image_spec, np.stack([picture.pixels for picture in pictures]))
    for name, row in judged.items():
        scores = there[row.path]
        assert (scores.argmax(1) == here[name].argmax(1)).all(), name
        assert np.abs(scores - here[name]).max() <= (FLOAT_APART if row.scheme == "float32" else CODE), name
