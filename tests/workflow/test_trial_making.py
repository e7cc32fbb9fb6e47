"""Candidates made: trainings that are given up, and those that start from what another trial has trained."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecls.errors import DataError, OutputError
from edgecls.records.recipe import Clustering, Pruning, Stage, Training
from edgecls.records.trial import Goal
from edgecls.records.variant import Variant
from edgecls.search import LossBar, Space
from edgecls.workflow.compress import resumed_by_itself
from edgecls.workflow.held_out import CHOOSING_NAME, JUDGING_NAME
from edgecls.workflow.opening import ModelOptions
from edgecls.workflow.trial_making import Prepared, TrialJob, make_trial, prepare

TRAINING = Training(epochs=4, batch=8, held_out=0.4)
SPACE = Space(Goal(within_points=1, minimize="download", targets=("tflite",)), ("int8",), TRAINING)
PRUNED, CLUSTERED = Pruning(sparsity=0.5), Clustering(clusters=4)


@pytest.fixture
def prepared(small_model: Path, small_images: Path, tmp_path: Path) -> Prepared:
    return prepare(ModelOptions(small_model), small_images, TRAINING, tmp_path)


def job(model: Path, images: Path, folder: Path, *stages: Stage) -> TrialJob:
    candidate = SPACE.candidate(stages)
    trial = folder / candidate.name
    return TrialJob(ModelOptions(model), images, 16, candidate, ("tflite",), trial, folder / "choosing.npz")


def test_a_hopeless_training_is_given_up_and_nothing_is_converted(
    prepared: Prepared, small_model: Path, small_images: Path, tmp_path: Path
) -> None:
    assert prepared.halves == (8, 8)
    assert prepared.refusal == ""
    assert 0.5 in prepared.multiples  # half of the multiply-accumulates can go with channels
    asked = job(small_model, small_images, tmp_path, PRUNED)
    made = make_trial(replace(asked, bar=LossBar(1e-6)))
    assert made.manifest is None
    assert len(made.held_out_loss) == 2 and f"a held-out loss of {made.held_out_loss[-1]:.3f} after epoch 2 of 4" in made.reason
    assert not (asked.folder / "artifacts").exists()


def test_the_part_that_data_have_for_it_is_held_out(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    with np.load(small_images) as whole:
        x, y = whole["x"], whole["y"]
    parts, unseen = tmp_path / "parts.npz", x[:12] // 2
    np.savez(parts, x_train=x, y_train=y, x_val=unseen, y_val=y[:12])
    found = prepare(ModelOptions(small_model), parts, TRAINING, tmp_path)
    halves = [np.load(tmp_path / name)["x"] for name in (CHOOSING_NAME, JUDGING_NAME)]
    assert found.halves == (6, 6)
    assert (halves[0] == unseen[::2]).all() and (halves[1] == unseen[1::2]).all()
    assert any("held out: 12 images of the part that the data have for it" in note for note in found.notes)
    assert "held out: a part of their own" in found.facts  # trials that an earlier version judged otherwise are not kept


def test_too_few_in_that_part_have_a_remedy_that_helps(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    with np.load(small_images) as whole:
        x, y = whole["x"], whole["y"]
    parts = tmp_path / "parts.npz"
    np.savez(parts, x_train=x, y_train=y, x_val=x[:1], y_val=y[:1])
    with pytest.raises(DataError, match="add images to the part of them that is held out"):
        prepare(ModelOptions(small_model), parts, TRAINING, tmp_path)


def test_a_full_disk_is_told_with_a_remedy_that_optimize_has(
    prepared: Prepared, small_model: Path, small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(stream: object, **arrays: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgecls.training.checkpoint.np.savez", full)
    with pytest.raises(OutputError, match=r"No space left on device; make room and permission there; the same command goes on"):
        make_trial(job(small_model, small_images, tmp_path, PRUNED))


def test_another_remedy_than_an_option_stays() -> None:
    for remedy, told in (("remove it", "remove it"), ("choose another with -o", "the same command goes on where it stopped")):
        with pytest.raises(OutputError, match=told), resumed_by_itself():
            raise OutputError("a checkpoint", "a damaged one", remedy)


@pytest.mark.slow
def test_what_another_trial_has_trained_is_taken_over(
    prepared: Prepared, small_model: Path, small_images: Path, tmp_path: Path
) -> None:
    first = job(small_model, small_images, tmp_path, PRUNED)
    one = make_trial(first)
    assert one.manifest is not None and one.trained == 1
    second = job(small_model, small_images, tmp_path, PRUNED, CLUSTERED)
    variants = first.folder / "variants"
    two = make_trial(replace(second, finished=(variants / "pruned50",)))
    assert two.manifest is not None and two.trained == 1
    taken, trained = (Variant.read(folder / "pruned50") for folder in (second.folder / "variants", variants))
    assert taken == trained and isinstance(taken.seconds, float)
    again = make_trial(replace(second, folder=tmp_path / "alone"))
    assert again.manifest is not None and again.trained == 2
    assert again.manifest.artifacts[0].sha256 == two.manifest.artifacts[0].sha256  # whoever trained what it starts from
