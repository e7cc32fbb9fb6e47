"""The bench on a real model (MLPerf Tiny's ResNet, converted by others' tools) and real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.crew import BenchJob, BenchOptions, ImageSource
from edgecls.data import open_images
from edgecls.errors import InputError
from edgecls.evaluation import fit_preprocess
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner
from edgecls.workflow.measuring import bench_artifacts

RESNET = ImageSpec(height=32, width=32, channels=3)
CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())  # noqa: SIM905


def test_resnet_on_cifar10(foreign_tflite: dict[str, Path], foreign_onnx: dict[str, Path], shared_data: Path):
    jobs = [
        BenchJob("resnet-tflite-float32", foreign_tflite["float32"], "tflite", "float32", spec=RESNET),
        BenchJob("resnet-tflite-int8", foreign_tflite["int8"], "tflite", "int8", spec=RESNET),
        BenchJob("resnet-onnx-float32", foreign_onnx["float32"], "onnx", "float32", spec=RESNET),
        BenchJob("stranger", foreign_tflite["int8-io"], "tflite", foreign=True),
    ]
    options = BenchOptions(min_seconds=0.1, min_runs=20)
    report = bench_artifacts(jobs, ImageSource(shared_data / "cifar10.npz", CLASSES), options, open_runner=open_runner)
    float_tflite, int8, onnx, stranger = report.measurements
    assert all(row.status == "ok" for row in report.measurements), [row.reason for row in report.measurements]
    assert float_tflite.accuracy is not None
    assert float_tflite.accuracy.images == 2000
    assert float_tflite.accuracy.top1 == pytest.approx(0.764, abs=0.0005)  # what Keras itself has on these images
    assert float_tflite.accuracy.top5 is not None
    # this converter loses the last layer's bias, at most 0.08 of a score here: few winners change, and the bench shows it
    assert onnx.flips is not None
    assert 0 < onnx.flips.count < 60
    assert int8.flips is not None
    assert int8.flips.reference == "resnet-tflite-float32"
    assert 0 < int8.flips.count < 1000
    # the same integer graph with another border, its preprocessing derived from its own scale
    assert stranger.flips is not None and int8.accuracy is not None and stranger.accuracy is not None
    assert abs(stranger.accuracy.top1 - int8.accuracy.top1) < 0.01
    assert any(note.startswith("stranger: ") for note in report.notes)
    for row in report.measurements:
        assert row.peak_memory_bytes is not None
        assert 10_000 < row.peak_memory_bytes < 200_000_000
        assert row.latency is not None
        assert row.latency.runs >= 20
    assert report.environment.packages["ai-edge-litert"]


def test_the_right_preprocessing_is_found(foreign_tflite: dict[str, Path], shared_data: Path):
    images = open_images(shared_data / "cifar10.npz", RESNET, role="data", labels=list(CLASSES), limit=400)
    found = fit_preprocess(foreign_tflite["float32"], images, open_runner=open_runner)
    assert len(found) == 10  # five, in both orders of the channels
    assert found[0][0] == "0..255"  # the model was trained on raw pixels
    assert found[0][1] > 0.7 > found[1][1]


def test_arrays_of_model_inputs_have_nothing_to_fit(foreign_tflite: dict[str, Path], tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 32, 32, 3), np.float32), y=np.arange(4))
    images = open_images(tmp_path / "x.npz", RESNET, role="data", labels=list(CLASSES))
    with pytest.raises(InputError, match="already preprocessed"):
        fit_preprocess(foreign_tflite["float32"], images, open_runner=open_runner)
