"""Where compress writes to: told before training where that cannot be, and no empty folder left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.errors import OutputError
from edgecls.records.event import Event
from edgecls.records.recipe import Recipe
from edgecls.workflow import CompressOptions, compress

CONTROL = Recipe.model_validate({"control": True, "training": {"epochs": 1, "batch": 8}})


def test_a_place_that_cannot_be_written_is_told_before_training(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[Event] = []
    with pytest.raises(OutputError, match="which is a file"):
        compress(CompressOptions(small_model, small_images, CONTROL, output=tmp_path / "file"), told.append)
    assert told
    assert not any(event.stage.startswith("training") for event in told)


def test_ctrl_c_in_the_first_epoch_leaves_no_folder(small_model: Path, small_images: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.stage == "training" and event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(CompressOptions(small_model, small_images, CONTROL, output=tmp_path / "out"), interrupt)
    assert list(tmp_path.iterdir()) == []
