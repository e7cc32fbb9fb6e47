"""The images that `compress` and `optimize` train and judge on, where the data have a part to judge on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Training
from edgecls.training.images import TrainingImages
from edgecls.workflow.labelled_images import open_labelled_images

SPEC = ImageSpec(height=4, width=4, channels=3)
UNNAMED = ["class_0", "class_1", "class_2"]


def part(folder: Path, *classes: str, images: int = 4) -> None:
    """Class folders with images in them."""
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            Image.fromarray(np.full((4, 4, 3), 50 * index + number, np.uint8)).save(folder / name / f"{number}.png")


def opened(data: Path, labels: list[str], kind: str = "softmax") -> TrainingImages:
    model: Any = SimpleNamespace(output_kind=kind, outputs=3)
    return open_labelled_images(data, SPEC, model, labels, Training(batch=4))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A training part of three classes."""
    part(tmp_path / "train", "cat", "dog", "fox")
    return tmp_path


@pytest.mark.parametrize("labels", [UNNAMED, ["fox", "dog", "cat"], ["bird", "fish", "worm"]])
def test_the_part_to_judge_on_may_lack_a_class(data: Path, labels: list[str]) -> None:
    part(data / "val", "cat", "fox", images=1)
    images = opened(data, labels)
    assert len(images.trained) == 12
    places = images.trained.own_labels
    assert images.held_out.own_labels.tolist() == [places[0], places[-1]]


def test_a_class_that_the_training_part_lacks_is_no_other_by_its_place_in_the_alphabet(data: Path) -> None:
    part(data / "val", "cat", "dog", "gnu", images=1)
    with pytest.raises(DataError, match=r"that the training images have too: cat, dog, fox, found gnu in .*folder 'val' used"):
        opened(data, UNNAMED)
    (data / "val" / "gnu").rename(data / "val" / "fox")  # the remedy
    assert opened(data, UNNAMED).held_out.own_labels.tolist() == [0, 1, 2]


def test_a_part_that_cannot_be_judged_on_has_a_remedy_that_works(data: Path) -> None:
    part(data / "val", ".")
    with pytest.raises(DataError, match=r"flat folder, no labels; label that part .* or take it out: a share"):
        opened(data, UNNAMED)
    shutil.rmtree(data / "val")
    images = opened(data, UNNAMED)
    assert len(images.trained) + len(images.held_out) == 12


def test_names_in_arrays_are_told_by_those_of_the_training_part(tmp_path: Path) -> None:
    pixels = np.zeros((6, 4, 4, 3), np.uint8)
    names = np.array(["cat", "dog", "fox"] * 2)
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=names, x_val=pixels[:2], y_val=np.array(["fox", "cat"]))
    assert opened(tmp_path / "a.npz", UNNAMED).held_out.own_labels.tolist() == [2, 0]
