"""keras.applications of both generations convert to all targets in float, with passing verdicts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgecls.workflow import ConvertOptions, convert

# Name -> side of the image: the family's least where its last feature map would vanish, else 96, to save time.
SIZES = {
    "MobileNet": 96,
    "MobileNetV2": 96,
    "MobileNetV3Small": 96,
    "ResNet50": 96,
    "EfficientNetB0": 96,
    "DenseNet121": 96,
    "Xception": 96,
    "ConvNeXtTiny": 96,
    "NASNetMobile": 224,
    "VGG16": 96,
    "InceptionV3": 96,
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", list(SIZES))
def test_converts_to_every_target(name: str, generation: str, tmp_path: Path):
    if generation == "keras":
        import keras
    else:
        import tf_keras as keras
    size = SIZES[name]
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    _wake(model, size)
    path = tmp_path / f"{name}.{'keras' if generation == 'keras' else 'h5'}"
    model.save(path)
    del model
    manifest = convert(ConvertOptions(model=path, schemes="float32,float16", output=tmp_path / "out"))
    executed = "passed" if sys.platform == "darwin" else "structure"
    assert len(manifest.artifacts) == 6
    for artifact in manifest.artifacts:
        assert artifact.parity is not None, artifact
        assert artifact.parity.verdict == (executed if artifact.target == "coreml" else "passed"), artifact


def _wake(model, size: int) -> None:
    """Give BatchNorms the statistics of real activations.

    With the initial ones the values of deep random networks vanish, and any two artifacts agree.
    """
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0.0
    model(np.random.default_rng(0).uniform(0, 255, (8, size, size, 3)).astype(np.float32), training=True)
