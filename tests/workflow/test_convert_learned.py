"""A quantization-aware variant, from `compress` to verified int8 files, without calibration images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.quantization.parameters import read_parameters
from edgecls.records.recipe import Pruning, QuantizationAwareTraining, Recipe, Training
from edgecls.records.variant import Variant
from edgecls.workflow import CompressOptions, ConvertOptions, compress, convert


def test_learned_ranges_reach_tflite_and_onnx(zoo: Path, tmp_path: Path):
    generator = np.random.default_rng(0)
    labels = np.arange(160) % 10
    pixels = generator.integers(0, 120, (160, 28, 28, 1)) + 13 * labels[:, None, None, None]
    np.savez(tmp_path / "images.npz", x=pixels.astype(np.uint8), y=labels)
    recipe = Recipe(
        pruning=Pruning(sparsity=0.5),
        qat=QuantizationAwareTraining(calibration_images=32),
        training=Training(epochs=1, learning_rate=1e-5),
        variants=("pruned50-qat",),
    )
    model = zoo / "fashion_cnn/fashion_mnist_model.h5"
    compress(CompressOptions(model=model, data=tmp_path / "images.npz", recipe=recipe, output=tmp_path / "variants"))
    folder = tmp_path / "variants" / "pruned50-qat"
    manifest = convert(
        ConvertOptions(
            model=folder, targets=("tflite", "onnx"), schemes="int8", data=tmp_path / "images.npz", output=tmp_path / "out"
        )
    )
    for artifact in manifest.artifacts:
        assert (artifact.status, artifact.requested.estimator) == ("ok", "learned")
        assert artifact.parity is not None
        assert artifact.parity.verdict == "passed"
        assert artifact.actual is not None
        assert [item.operation.upper() for item in artifact.actual.stayed_float] == ["SOFTMAX"]
    # The learned ranges are in the file, and pruned weights are still zero.
    tflite = next(artifact for artifact in manifest.artifacts if artifact.target == "tflite")
    parameters = read_parameters((tmp_path / "out" / tflite.path).read_bytes())
    ranges = Variant.read(folder).ranges
    assert ranges is not None
    steps = {round((high - low) / 255, 7) for low, high in ranges.values()}
    assert {round(float(item.scale[0]), 7) for item in parameters.activations.values()} <= steps
    kernels = [item.weights for item in parameters.operations.values() if item.weights is not None]
    zeros = sum(np.count_nonzero(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels)
    assert zeros >= 0.49
