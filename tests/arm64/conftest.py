"""The emulated machines, and the artifacts whose answers are compared there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecls.data.digits import DIGITS_NAME
from edgecls.records.artifact import Target
from edgecls.workflow import ConvertOptions, convert
from edgecls.workflow.demo import train_demo_model

TARGETS: tuple[Target, ...] = (
    "tflite",
    "onnx",
)  # Core ML is Apple's, and its reference needs coremltools, which Linux on ARM lacks


@pytest.fixture(scope="session")
def machines() -> Path:
    """The folder that `tools/arm64` made."""
    folder = os.environ.get("ARM64")
    if not folder:
        pytest.fail("no emulated machines: run `make test-arm64`, which makes them first")
    return Path(folder)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of the demo's model."""
    folder, data = tmp_path_factory.mktemp("digits"), Path(DIGITS_NAME)
    model, out = train_demo_model(folder), folder / "artifacts"
    convert(ConvertOptions(model, out, TARGETS, calibration=data, data=data))
    return out


@pytest.fixture(scope="session")
def resnet(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of MLPerf Tiny's ResNet-8."""
    model, data, out = (
        zoo / "mlperf_tiny/pretrainedResnet.h5",
        shared_data / "cifar10.npz",
        tmp_path_factory.mktemp("resnet") / "artifacts",
    )
    images = {"calibration": data, "calibration_images": 100, "data": data}
    convert(ConvertOptions(model, out, TARGETS, preprocess="0..255", **images))
    return out
