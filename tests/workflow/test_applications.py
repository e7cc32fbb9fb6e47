"""keras.applications of both generations convert to all targets in float, with passing verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from application_models import SIZES as REQUIRED
from application_models import application
from edgecls.workflow import ConvertOptions, convert

# InceptionV3: at 96 its last feature map is one pixel, of which 32 images give BatchNorm too few values to be like real statistics.
SIZES = {**REQUIRED, "MobileNet": 96, "ConvNeXtTiny": 96, "InceptionV3": 139}


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
    model = application(keras, name, size)
    path = tmp_path / f"{name}.{'keras' if generation == 'keras' else 'h5'}"
    model.save(path)
    del model
    manifest = convert(ConvertOptions(model=path, schemes="float32,float16", output=tmp_path / "out"))
    assert len(manifest.artifacts) == 6
    for artifact in manifest.artifacts:
        assert artifact.parity is not None, artifact
        assert artifact.parity.verdict == "passed", artifact
