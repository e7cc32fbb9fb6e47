"""Real models in the Android sample: Robolectric decodes the golden pictures as the host does, ONNX Runtime for the JVM answers alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_model import CLONE, Built, embed_all

from edgecls.workflow import ConvertOptions, convert

pytestmark = [pytest.mark.android, pytest.mark.timeout(1800)]

MODELS = {
    "resnet8": ("mlperf_tiny/pretrainedResnet.h5", "0..255"),
    "mobilenet": ("imagenet_mobilenet_v1_025/mobilenet_v1_0.25_224.h5", "-1..1"),
}


@pytest.mark.parametrize("name", MODELS)
def test_golden_pictures(built: Built, zoo: Path, shared_data: Path, tmp_path: Path, name: str) -> None:
    model, preprocess = MODELS[name]
    sample, artifacts = tmp_path / "android_sample", tmp_path / f"{name}.artifacts"
    shutil.copytree(built.sample, sample)  # compiled: a model alone is exchanged
    images = {"calibration": shared_data / "flowers", "calibration_images": 32}
    options = ConvertOptions(zoo / model, artifacts, ("tflite", "onnx"), schemes="float32,int8", preprocess=preprocess, **images)
    assert {row.status for row in convert(options).artifacts} == {"ok"}
    embed_all(artifacts, sample)
    command = [sys.executable, CLONE / "tools/android", sample, "--only-golden"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stdout == "5 tests of the golden pictures passed.\n"
