"""Half of the multiply-accumulates of whole networks go with channels, and what is left answers as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from application_models import SIZES, application
from double_precision import in_double
from edgecls.compression.channels import (
    choose,
    fitting_choice,
    multiply_accumulates,
    sizes_of,
    trace_channels,
    without,
    zeroed,
)
from edgecls.models import load_model, rebuild
from edgecls.records.artifact import DEFAULT_TARGETS
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert
from zoo_models import MODELS, ZooModel

SHARE, NEAR = 0.5, 0.02
TOLERANCE = 1e-5  # of the largest score; in double precision, as a hundred layers amplify what single precision rounds
KERAS_FILES = [model for model in MODELS if "saved_model" not in model.path]


def assert_halved(model: Any) -> Any:
    """The smaller model. Half of the costs go, and with chosen and with random channels the scores are those with zeros in their place."""
    channels = trace_channels(model)
    whole = multiply_accumulates(channels)
    chosen = fitting_choice(channels, SHARE, 8)
    assert chosen is not None
    assert chosen.macs == pytest.approx((1 - SHARE) * whole, abs=NEAR * whole)
    smaller = without(model, channels, chosen.stays)
    assert multiply_accumulates(trace_channels(smaller)) == pytest.approx(chosen.macs)
    assert_same(zeroed(model, channels, chosen.stays), smaller)
    random = choose(channels, np.random.default_rng(0).uniform(size=channels.count), (1 - SHARE) * whole, 1, sizes_of(channels))
    assert_same(zeroed(model, channels, random.stays), without(model, channels, random.stays))
    return smaller


def assert_same(expected: Any, found: Any) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (2, *expected.input_shape[1:]))
    scores = in_double(expected)(images).numpy()
    assert np.abs(scores).max() > 0
    assert np.abs(in_double(found)(images).numpy() - scores).max() <= TOLERANCE * np.abs(scores).max()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("name", SIZES)
def test_networks_of_keras_applications(tmp_path: Path, name: str, generation: int):
    keras = require("keras" if generation == 3 else "tf_keras")
    model = application(keras, name, SIZES[name])
    for layer in model.layers:
        if type(layer).__name__ == "LayerScale":  # starts so small that the channels behind it would count for nothing
            layer.set_weights([np.ones_like(value) for value in layer.get_weights()])
    path = tmp_path / ("model.keras" if generation == 3 else "model.h5")
    model.save(path)
    smaller = assert_halved(rebuild(load_model(path)).model)
    halved = tmp_path / "halved.keras"
    smaller.save(halved)
    manifest = convert(ConvertOptions(halved, schemes="float32", output=tmp_path / "out", preprocess="0..255"))
    assert {row.target: row.status for row in manifest.artifacts} == dict.fromkeys(DEFAULT_TARGETS, "ok")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", KERAS_FILES, ids=lambda model: model.id)
def test_real_models(zoo: Path, model: ZooModel):
    weights = zoo / model.weights if model.weights else None
    assert_halved(rebuild(load_model(zoo / model.path, weights=weights)).model)
