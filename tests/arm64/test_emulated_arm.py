"""Every artifact answers on ARM what it answers here."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scores_there
from edgecls.data import open_images
from edgecls.data.digits import DIGITS_NAME
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.report import Report

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1800)]

IMAGES = 40  # an emulated inference of ResNet-8 takes up to a quarter of a second
PROCESSORS = ("cortex-a53", "cortex-a76")  # the second has dot products of int8, and computes in half precision

# How far scores may be apart, as a share of the largest one; what was measured stands in docs/machines.md.
APART = {
    # The codes are the same on every processor; only the softmax behind them computes in float32.
    ("tflite", "int8"): 1e-5,
    ("onnx", "int8"): 1e-5,
    # Sums in another order. TFLite's engine makes float32 of float16 weights.
    ("tflite", "float32"): 1e-4,
    ("onnx", "float32"): 1e-4,
    ("tflite", "float16"): 1e-4,
    # The Cortex-A76 computes ONNX's float16 in half precision: 2**-11 of each logit, of which the largest are some tens.
    ("onnx", "float16"): 5e-2,
    # Activations half-way between two codes: the last bit of a sum decides, and a code is 2**-7 of the widest one.
    ("tflite", "dynamic"): 2e-2,
}


@dataclass(frozen=True)
class Asked:
    """Artifacts that were asked about the same images on several machines.

    Attributes:
        scores: machine -> path of an artifact -> [N, classes].
    """

    artifacts: list[Artifact]
    scores: dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=["digits", "resnet"])
def asked(request: pytest.FixtureRequest, machines: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder: Path = request.getfixturevalue(request.param)
    manifest = Manifest.read(folder)
    pixels = tmp_path_factory.mktemp("images") / "images.npy"
    data = next(source.path for source in manifest.data if source.role == "data")
    images = open_images(Path(data), manifest.image_spec, role="data", limit=IMAGES)
    np.save(pixels, np.concatenate(list(images.batches())))
    pythons = {"x86": sys.executable} | {processor: machines / f"qemu-{processor}" for processor in PROCESSORS}
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda name: ask(pythons[name], folder, pixels, pixels.with_name(f"{name}.npz")), pythons)
        return Asked(manifest.artifacts, dict(zip(pythons, answers, strict=True)))


def ask(python: Path | str, folder: Path, pixels: Path, answers: Path) -> dict[str, np.ndarray]:
    """Scores of all artifacts of a folder, computed by this Python."""
    subprocess.run([python, scores_there.__file__, folder, pixels, answers], check=True, timeout=1500)
    with np.load(answers) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_arm_answers_as_x86(asked: Asked, processor: str):
    found = {}
    for artifact in asked.artifacts:
        here, there = asked.scores["x86"][artifact.path], asked.scores[processor][artifact.path]
        flips = int((there.argmax(1) != here.argmax(1)).sum())
        found[artifact.target, artifact.scheme] = (flips, float(np.abs(there - here).max() / np.abs(here).max()))
    assert set(found) == set(APART)
    assert {kind: figures for kind, figures in found.items() if figures[0] or figures[1] > APART[kind]} == {}


def test_bench_measures_there(edgecls: Callable[..., Any], digits: Path, machines: Path, tmp_path: Path):
    files = [digits / "base-tflite-int8.tflite", digits / "base-onnx-int8.onnx"]
    command = ("bench", *files, "--data", DIGITS_NAME, "--limit", IMAGES, "--min-seconds", 0, "--min-runs", 1, "--json")
    emulated = shlex.quote(str(machines / "qemu-cortex-a76"))
    here = edgecls(*command, "-o", tmp_path / "here.json")
    there = edgecls(*command, "-o", tmp_path / "there.json", "--on", emulated)
    assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
    x86, arm = Report.model_validate_json(here.stdout), Report.model_validate_json(there.stdout)
    assert (arm.environment.machine, arm.environment.instruction_sets) == ("aarch64", ["neon", "dotprod"])
    for row, row_there in zip(x86.measurements, arm.measurements, strict=True):
        assert row.accuracy and row_there.accuracy and row_there.latency and row_there.latency.validity
        assert row_there.accuracy.top1 == row.accuracy.top1
        assert "emulated" in [reason.code for reason in row_there.latency.validity.reasons]
