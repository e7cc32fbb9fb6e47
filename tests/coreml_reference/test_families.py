"""Whole networks: every package against the model it came from, computed by the reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from application_models import SIZES, application
from edgecls.evaluation.parity import RELATIVE_TOLERANCE
from edgecls.workflow import ConvertOptions, convert
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
    """float32 within its tolerance, float16 too, or, where the network amplifies rounding, as `evaluation.parity` allows."""
    manifest = convert(options)
    assert {artifact.scheme for artifact in manifest.artifacts} == {"float32", "float16"}
    for artifact in manifest.artifacts:
        parity = artifact.parity
        assert parity is not None
        assert parity.verdict == "passed", artifact
        assert parity.max_abs_diff is not None and parity.max_abs_score
        relative = parity.max_abs_diff / parity.max_abs_score
        print(f"{options.model.stem} {artifact.scheme}: {relative:.2g} {parity.reason}")  # noqa: T201  for `pytest -s`
        assert relative <= RELATIVE_TOLERANCE[artifact.scheme] or "amplifies float16 rounding" in parity.reason


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(FAMILIES))
def test_keras_applications(name: str, tmp_path: Path):
    import keras

    path = tmp_path / f"{name}.keras"
    model = application(keras, name, FAMILIES[name])
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
