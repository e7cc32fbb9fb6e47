"""`--effort high`: wide layers are rounded by data too, and every estimator is tried with them; refused where it would do nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecls.errors import SchemeError
from edgecls.records.artifact import Manifest
from edgecls.workflow import ConvertOptions, convert

WIDE = 12 * 12 * 9  # weights of an output: more than are rounded by data without being asked


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ConvertOptions:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("effort")
    layers = tf_keras.layers
    model = tf_keras.Sequential([tf_keras.Input((12, 12, 9)), layers.Flatten(), layers.Dense(4), layers.Softmax()])
    model.save(folder / "model.h5")
    images = np.random.default_rng(0).integers(0, 256, (48, 12, 12, 9)).astype(np.uint8)
    np.savez(folder / "images.npz", x=images)
    return ConvertOptions(
        folder / "model.h5",
        preprocess="0..1",
        targets=("tflite",),
        schemes="float32,int8",
        calibration=folder / "images.npz",
        output=folder / "out",
    )


def tried(manifest: Manifest) -> str:
    """What the manifest says of the int8 file."""
    return next(note for note in manifest.details if "int8 ranges" in note)


def test_wide_layers_are_rounded_by_data_when_asked(options: ConvertOptions):
    assert WIDE > 1152
    assert "rounded by data" not in tried(convert(options))
    high = tried(convert(dataclasses.replace(options, effort="high", output=options.folder.parent / "high")))
    for estimator in ("minmax", "percentile", "mse"):
        assert f"{estimator} with weights rounded by data" in high


def test_it_is_refused_without_int8(options: ConvertOptions):
    with pytest.raises(SchemeError, match="--effort high"):
        convert(dataclasses.replace(options, effort="high", schemes="float32", output=options.folder.parent / "none"))
