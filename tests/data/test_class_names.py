"""`class_names` of an archive, where nothing else tells how many classes there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.data import open_images
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec

SPEC = ImageSpec(height=4, width=4, channels=1, color_order="GRAY")
INDICES = np.arange(6) % 3
SEVERAL = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 1, 0]])


def written(folder: Path, labels: np.ndarray, *names: str) -> Path:
    path = folder / "images.npz"
    np.savez(path, x=np.zeros((6, 4, 4, 1), np.uint8), y=labels, class_names=np.array(names))
    return path


@pytest.mark.parametrize(("labels", "words"), [(INDICES, "label 2 in y"), (SEVERAL, "3 columns in y")])
def test_fewer_names_than_classes_are_refused(labels: np.ndarray, words: str, tmp_path: Path):
    with pytest.raises(DataError, match=rf"a name in class_names for each class, found 2 \(a, b\) and {words}"):
        open_images(written(tmp_path, labels, "a", "b"), SPEC, role="training")


@pytest.mark.parametrize("labels", [INDICES, SEVERAL])
def test_names_of_all_classes_are_taken(labels: np.ndarray, tmp_path: Path):
    path = written(tmp_path, labels, "a", "b", "c")
    assert open_images(path, SPEC, role="training").class_names == ("a", "b", "c")
    known = open_images(written(tmp_path, labels, "a", "b"), SPEC, role="training", labels=["a", "b", "c"])
    assert known.labelled  # a model says how many there are


def test_what_calibrates_needs_no_names(tmp_path: Path):
    images = open_images(written(tmp_path, INDICES, "a", "b"), SPEC, role="calibration")
    assert not images.labelled and "labels not used" in images.note
