"""`edgecls train`: what would only show after the training, or would not be what was asked, is refused before the first epoch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import EdgeclsError
from edgecls.records.event import Event
from edgecls.records.training import TrainingPlan
from edgecls.system.extras import require
from edgecls.training.images import split
from edgecls.training.networks import Body
from edgecls.workflow import training_body
from edgecls.workflow.train import CURVE_NAME, SAMPLES_NAME, TrainOptions, train
from edgecls.workflow.train_job import LOGS_NAME

PLAN = TrainingPlan(epochs=1, batch=4, size=(8, 8))
RATED = PLAN.model_copy(update={"learning_rate": 0.01})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "noise.npz", x=pixels, y=np.arange(24) % 2)
    return tmp_path / "noise.npz"


@pytest.fixture
def base(tmp_path: Path) -> str:
    import keras

    layers = keras.layers
    body = [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Conv2D(4, 3)]
    keras.Sequential([*body, layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]).save(
        tmp_path / "base.keras"
    )
    return str(tmp_path / "base.keras")


def refused(message: str, options: TrainOptions) -> None:
    told: list[Event] = []
    with pytest.raises(EdgeclsError, match=message):
        train(options, told.append)
    assert not any(event.stage in ("training", "testing learning rates") for event in told)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0, 0.0])
def test_a_rate_that_is_none(rate: float, archive: Path, tmp_path: Path):
    refused("learning rates above 0 for --rates", TrainOptions(archive, PLAN, output=tmp_path / "out", rates=(1e-3, rate)))


def test_a_rate_beside_what_looks_for_one(archive: Path, tmp_path: Path):
    refused("--learning-rate and --find-rate", TrainOptions(archive, RATED, output=tmp_path / "out", find_rate=True))
    refused("--learning-rate and --rates", TrainOptions(archive, RATED, output=tmp_path / "out", rates=(1e-3,)))


def test_what_nothing_of_a_base_would_heed(archive: Path, base: str, tmp_path: Path):
    def plan(**update: object) -> TrainingPlan:
        return PLAN.model_copy(update={"model": base, **update})

    out = tmp_path / "out"
    refused("--fine-tune together with --unfreeze", TrainOptions(archive, plan(unfreeze="30%"), output=out))
    refused("--fine-tune together with --fine-tune-rate", TrainOptions(archive, plan(fine_tune_rate=1e-4), output=out))
    refused("--unfreeze below the 3 layers", TrainOptions(archive, plan(fine_tune=1, unfreeze="3"), output=out))
    refused("--unfreeze below the 3 layers", TrainOptions(archive, plan(fine_tune=1, unfreeze="3"), output=out, find_rate=True))
    refused("--unfreeze with a base", TrainOptions(archive, plan(model="cnn", unfreeze="30%"), output=out))
    refused("--grey with a base of one channel", TrainOptions(archive, plan(grey=True), output=out))


def test_a_file_in_the_place_of_charts(archive: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    (tmp_path / "charts").write_text("")
    for place in (tmp_path / "charts", tmp_path / "charts" / "of" / "today"):
        refused("a folder for --plots", TrainOptions(archive, PLAN, output=tmp_path / "out", plots=place))


def test_several_labels_and_held_out_images_without_any(tmp_path: Path):
    """Nothing could be told of an epoch by images that have no class at all."""
    labels = np.zeros((40, 2), np.uint8)
    trained, _ = split(labels, PLAN.held_out, PLAN.seed)
    labels[trained[:3]] = 1
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "several.npz", x=pixels, y=labels)
    plan = PLAN.model_copy(update={"multi_label": True})
    refused("held-out images of which one has a class", TrainOptions(tmp_path / "several.npz", plan, output=tmp_path / "out"))


def test_nothing_of_an_earlier_training_stays_beside_the_new_one(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def tiny(pixels: Any) -> Body:
        return Body(require("keras").layers.Conv2D(2, 3)(pixels))

    monkeypatch.setitem(training_body._OWN, "cnn", tiny)
    out = tmp_path / "out"
    (out / LOGS_NAME / "0.001").mkdir(parents=True)
    for name in (SAMPLES_NAME, CURVE_NAME, f"{LOGS_NAME}/0.001/events.out.tfevents.1.host.1"):
        (out / name).write_text("earlier")
    train(TrainOptions(archive, PLAN, output=out, rates=(1e-3, 1e-4), tensorboard=True))
    assert not (out / SAMPLES_NAME).exists() and not (out / CURVE_NAME).exists()
    logs = sorted(path.parent.name for path in (out / LOGS_NAME).rglob("events.*"))
    assert logs == ["0.0001", "0.001"]  # a run of its own for each rate
