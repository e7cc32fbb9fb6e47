"""The range of logits: what decides is covered, what has no share beside the winner is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.diagnosis.layers_onnx import OnnxLayers
from edgecls.diagnosis.layers_tflite import TFLiteLayers
from edgecls.diagnosis.sensitivity import measure_sensitivity
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.logits import LEAST_SHARE, REACH, Logits
from edgecls.quantization.parameters import read_parameters
from edgecls.quantization.ranges import Range, ValueHistogram
from edgecls.records.artifact import OutputKind
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert

CLASSES = 8


@pytest.fixture(scope="module", params=["softmax", "sigmoid"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose winner's logit is 15 to 30 and each other's twice as far below zero, and its files."""
    import tf_keras

    made = tmp_path_factory.mktemp("logits")
    kernel = np.full((12, CLASSES), -60.0, np.float32)
    np.fill_diagonal(kernel, 30)
    dense = tf_keras.layers.Dense(CLASSES, activation=request.param, use_bias=False)
    model = tf_keras.Sequential([tf_keras.Input((2, 2, 3)), tf_keras.layers.Flatten(), dense])
    dense.set_weights([kernel])
    model.save(made / "model.h5")
    generator = np.random.default_rng(0)
    pixels = np.eye(12)[generator.integers(0, CLASSES, 60)] * generator.integers(128, 256, (60, 1))
    np.savez(made / "images.npz", x=pixels.reshape(60, 2, 2, 3).astype(np.uint8))
    options = ConvertOptions(
        made / "model.h5",
        preprocess="0..1",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=made / "images.npz",
        output=made / request.param,
    )
    convert(options)
    return made / request.param


def seen(values: np.ndarray) -> ValueHistogram:
    found = ValueHistogram()
    found.add(float(values.min()), float(values.max()), values.astype(np.float32))
    return found


def test_logits_reach_down_to_what_has_a_share_beside_the_lowest_winner(folder: Path):
    logits = Logits(TFLiteGraph((folder / "base-tflite-float32.tflite").read_bytes()))
    (names,) = logits.groups or logits.bounded
    values = np.array([[28.0, -55.0, 3.0], [2.0, -30.0, 1.0]])
    histograms, estimated = dict.fromkeys(names, seen(values)), dict.fromkeys(names, Range(-20.0, 20.0))
    settled = logits.settle(estimated, histograms, {names[0]: 2.0})
    if folder.name == "sigmoid":
        assert set(settled.values()) == {Range(-REACH, REACH)}
        assert 1 / (1 + np.exp(REACH)) < LEAST_SHARE
        return
    assert set(settled.values()) == {Range(2.0 - REACH, 28.0)}
    cut = np.exp(np.maximum(values, 2.0 - REACH))
    shares, exact = cut / cut.sum(axis=1, keepdims=True), np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    assert np.abs(shares - exact).max() < LEAST_SHARE
    assert logits.settle(estimated, histograms, {}) == estimated  # where no image was seen


def test_files_step_as_finely_as_the_logits_that_decide_need(folder: Path):
    """From 30 down to 15 - 14, with a softmax; from 14 to -14, with a sigmoid. From 30 to -60 a step would be thrice as large."""
    files = [folder / "base-tflite-int8.tflite", folder / "base-onnx-int8.onnx"]
    steps = {float(affine.scale[0]) for affine in read_parameters(files[0].read_bytes()).activations.values()}
    assert 15 / 255 < max(steps) < 31 / 255
    with np.load(folder.parent / "images.npz") as archive:
        scores = [open_runner(file).predict(archive["x"]) for file in files]
    assert np.abs(scores[0] - scores[1]).max() <= 1 / 256


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_what_decides_nothing_is_no_fault_of_the_file(folder: Path, suffix: str):
    """Seven of eight logits are out of the range; a diagnosis that counted them would call this layer the worst."""
    kind: OutputKind = "sigmoid" if folder.name == "sigmoid" else "softmax"
    opened = TFLiteLayers if suffix == "tflite" else OnnxLayers
    runner = opened(*(folder / f"base-{suffix}-{scheme}.{suffix}" for scheme in ("float32", "int8")))
    with np.load(folder.parent / "images.npz") as archive:
        inputs = [image[None] for image in archive["x"].astype(np.float32) / 255]
    layers = {layer.name: layer for layer in measure_sensitivity(runner, inputs, kind).layers}
    read = [layer for layer in layers.values() if layer.readers == [runner.output] and layer.range is not None]
    assert read
    for layer in read:
        assert layer.range is not None and layer.range.clipped == 0
        assert layer.own_snr_db is not None and layer.own_snr_db > 30  # steps of 0.11 beside logits of 15 to 30
