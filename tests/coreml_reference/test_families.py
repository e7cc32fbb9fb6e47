"""Whole networks: every package against the model it came from, computed by the reference.

Some networks amplify the rounding of their weights to float16 beyond any tolerance, in all formats alike. The reference is then held
against an independent reading of the same file by TensorFlow, so that only the network is to blame for the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from application_models import SIZES, wake
from edgecls.data.synthetic import synthetic_pixels
from edgecls.evaluation.parity import RELATIVE_TOLERANCE
from edgecls.records.artifact import Artifact
from edgecls.runners import open_runner
from edgecls.workflow import ConvertOptions, convert
from mil_program import run_package
from zoo_models import MODELS, ZooModel

# With those that are converted elsewhere: all families that the reference must know.
FAMILIES = {
    **SIZES,
    "MobileNet": 96,
    "MobileNetV3Large": 96,
    "EfficientNetV2B0": 96,
    "ConvNeXtTiny": 96,
    "InceptionResNetV2": 96,
}


def check(options: ConvertOptions) -> None:
    """float32 within its tolerance, float16 too or as TensorFlow computes the same file."""
    manifest = convert(options)
    assert {artifact.scheme for artifact in manifest.artifacts} == {"float32", "float16"}
    for artifact in manifest.artifacts:
        parity = artifact.parity
        assert parity is not None and parity.max_abs_diff is not None and parity.max_abs_score, artifact
        relative = parity.max_abs_diff / parity.max_abs_score
        print(f"{options.model.stem} {artifact.scheme}: {relative:.2g} {parity.verdict}")  # noqa: T201  shown by `pytest -s`
        if artifact.scheme == "float32":
            assert parity.verdict == "passed", artifact
        elif relative > RELATIVE_TOLERANCE["float16"]:
            assert "rounding" in parity.reason or artifact.status == "rejected", artifact
            _same_by_tensorflow(options, artifact)


def _same_by_tensorflow(options: ConvertOptions, artifact: Artifact) -> None:
    assert options.output is not None
    path = options.output / artifact.path
    runner = open_runner(path)
    # Images like those that BatchNorms have the statistics of: on others the gates of squeeze-and-excite blocks, which no BatchNorm holds
    # within bounds, turn the last bit of float32 into per cent.
    pixels = synthetic_pixels(runner.spec, 2, seed=1)
    ours, theirs = runner.predict(pixels), run_package(path, pixels)
    # both compute in float32 from the same weights: what float32 rounding itself becomes in such a network, see the float32 package
    assert np.abs(ours - theirs).max() <= 1e-3 * np.abs(theirs).max()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(FAMILIES))
def test_keras_applications(name: str, tmp_path: Path):
    """Logits: a softmax over such random networks is often one and zeros, with which anything agrees."""
    import keras

    size = FAMILIES[name]
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    wake(model, size)
    path = tmp_path / f"{name}.keras"
    model.save(path)
    del model
    check(ConvertOptions(model=path, targets=("coreml",), schemes="float32,float16", output=tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_zoo(model: ZooModel, zoo: Path, shared_data: Path, tmp_path: Path):
    check(
        ConvertOptions(
            model=zoo / model.path,
            weights=zoo / model.weights if model.weights else None,
            preprocess=model.preprocess,
            targets=("coreml",),
            schemes="float32,float16",
            data=model.data(shared_data),
            output=tmp_path / "out",
        )
    )
