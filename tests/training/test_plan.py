"""What a plan of a training means: phases, what is freed, what images count; learning rates. All without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edgecls.cli.train import OPTIONS
from edgecls.errors import DataError, RecipeError
from edgecls.records.recipe import parse_options
from edgecls.records.training import RatePoint, TrainingPlan
from edgecls.reporting.rate_curve import rate_curve
from edgecls.reporting.sample_sheet import write_sample_sheet
from edgecls.training.objectives import Objective
from edgecls.training.optimizers import plateau_rate
from edgecls.training.rates import steepest
from edgecls.training.time_left import TimeLeft

LABELS = np.array([0] * 8 + [1] * 2)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({}, 3e-3),
        ({"model": "resnet", "optimizer": "adam"}, 3e-3),
        ({"optimizer": "sgd"}, 1e-3),
        ({"model": "VGG16"}, 1e-3),  # no BatchNorm
        ({"model": "base.h5", "on_weights": True}, 1e-2),
        ({"learning_rate": 0.5}, 0.5),
    ],
)
def test_the_first_rate_suits_what_is_trained(plan: dict[str, Any], expected: float) -> None:
    assert TrainingPlan.model_validate(plan).first_rate == expected


@pytest.mark.parametrize(("unfreeze", "first"), [("100%", 0), ("30%", 56), ("0.1%", 79), ("20", 20), ("200", 200)])
def test_which_layer_is_the_first_to_train(unfreeze: str, first: int):
    assert TrainingPlan(model="base.h5", fine_tune=1, unfreeze=unfreeze).first_unfrozen(80) == first


def test_phases_have_rates_of_their_own():
    plan = TrainingPlan(model="base.h5", epochs=3, fine_tune=2, learning_rate=0.01)
    assert plan.phases == (("training", 3, 0.01), ("fine-tuning", 2, 0.0001))
    assert TrainingPlan(epochs=3).phases == (("training", 3, 0.003),)
    assert TrainingPlan(model="base.h5", on_weights=True, epochs=1).phases == (("training", 1, 0.01),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"unfreeze": "half"}, "--unfreeze: a layer's number, as 100, or the share"),
        ({"unfreeze": "0%"}, "share of the last layers"),
        ({"fine_tune": 2}, "--fine-tune without a base"),
        ({"binary": True, "multi_label": True}, "not both"),
        ({"optimizer": "adagrad"}, "--optimizer: input should be 'adamw', 'adam' or 'sgd', given 'adagrad'"),
        ({"fine_tune_rate": 0.0}, "--fine-tune-rate: input should be greater than 0"),
        ({"augmentation": {"rotation": 200}}, "--rotate: input should be less"),
    ],
)
def test_what_is_no_plan_is_said(content: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        parse_options(content, TrainingPlan, OPTIONS)


def test_balanced_weights_let_classes_count_alike():
    weights = Objective(TrainingPlan(class_weights="balanced"), 2).weights(LABELS, np.arange(10))
    assert weights is not None
    assert weights[LABELS == 0].sum() == weights[LABELS == 1].sum() == 5  # half of ten images each
    assert Objective(TrainingPlan(), 2).weights(LABELS, np.arange(10)) is None


def test_oversampling_shows_every_class_as_often_as_the_largest():
    drawn = Objective(TrainingPlan(oversample=True), 2).drawn(LABELS, np.arange(10))
    assert np.bincount(LABELS[drawn]).tolist() == [8, 8] and set(drawn) == set(range(10))


def test_labels_that_the_plan_cannot_take_are_refused():
    several = np.array([[1, 1], [0, 0]], np.uint8)
    with pytest.raises(DataError, match="--multi-label"):
        Objective(TrainingPlan(), 2).require_fitting(several)
    with pytest.raises(DataError, match="--oversample"):
        Objective(TrainingPlan(multi_label=True, oversample=True), 2).require_fitting(several)
    with pytest.raises(DataError, match="two classes for --head binary"):
        Objective(TrainingPlan(binary=True), 3).require_fitting(LABELS)


def test_targets_are_what_the_head_answers():
    assert Objective(TrainingPlan(binary=True), 2).targets(LABELS[-3:]).tolist() == [[0.0], [1.0], [1.0]]
    assert Objective(TrainingPlan(multi_label=True), 2).targets(LABELS[-3:]).tolist() == [[1, 0], [0, 1], [0, 1]]
    assert Objective(TrainingPlan(loss="focal"), 2).targets(LABELS[-2:]).tolist() == [[0, 1], [0, 1]]


def test_a_plateau_lowers_the_rate():
    assert plateau_rate(1.0, [3, 2, 1], 2) == 1.0
    assert plateau_rate(1.0, [3, 1, 2, 2], 2) == pytest.approx(0.2)
    assert plateau_rate(1.0, [3, 1, 2, 2, 2, 2, 0.5], 2) == pytest.approx(0.04)  # twice two epochs without a lower one


def test_the_steepest_rate_is_taken_and_drawn():
    rates = np.logspace(-6, 0, 61)
    losses = 2 - 1.5 / (1 + np.exp(-8 * (np.log10(rates) + 3))) + np.where(rates > 0.1, 10 * (rates - 0.1), 0)
    points = [RatePoint(learning_rate=float(rate), loss=float(loss)) for rate, loss in zip(rates, losses, strict=True)]
    chosen = steepest(points)
    assert chosen == pytest.approx(1e-3, rel=0.3)  # where the logistic curve falls fastest, to a step of the grid
    drawn = ElementTree.fromstring(rate_curve(points, chosen))
    line = next(part for part in drawn if part.tag.endswith("polyline"))
    assert len(line.attrib["points"].split()) == 61


def test_time_left_counts_from_the_steps_so_far():
    now = iter([100.0, 102.0, 164.0])
    left = TimeLeft(lambda: next(now))
    assert [left(1, 100), left(2, 100)] == ["", ""]  # the first steps trace
    assert left(3, 100) == ""
    assert left(4, 100) == "3 min 12 s left"  # 96 steps of 2 s
    assert left(35, 100) == "2 min 10 s left"  # 64 s for 32 steps, 65 more


def test_a_sheet_has_a_row_for_each_image(tmp_path: Path):
    rows = np.zeros((2, 3, 10, 12, 1)) + np.arange(3)[:, None, None, None] * 100
    write_sample_sheet(tmp_path / "sheet.png", rows)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    # tiles enlarged 8 times, the least whole number that makes 12 pixels 96 or more, with 4 pixels between them
    assert pixels.shape == (2 * 80 + 4, 3 * 96 + 2 * 4)
    assert [pixels[0, place] for place in (0, 100, 200)] == [0, 100, 200]
