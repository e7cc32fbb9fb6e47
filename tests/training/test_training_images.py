"""Splitting, shuffling and augmenting; and data that nothing can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.data import open_images
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Augmentation, Training
from edgecls.training.augmentation import augment
from edgecls.training.images import TrainingImages

SPEC = ImageSpec(height=4, width=4, channels=1, color_order="GRAY", std=(255.0,))


def archive(path: Path, labels: np.ndarray, **more: Any) -> Path:
    """Images whose first pixel is their number."""
    pixels = np.zeros((len(labels), 4, 4, 1), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(labels))
    np.savez(path, x_train=pixels, y_train=labels, **more)
    return path


def opened(path: Path, outputs: int = 3, **training: Any) -> TrainingImages:
    labels = [f"class_{index}" for index in range(max(outputs, 2))]
    recipe = Training.model_validate({"batch": 8, **training})
    return TrainingImages(open_images(path, SPEC, role="training", labels=labels), SPEC, outputs, recipe)


def numbers(batches: Any) -> np.ndarray:
    return np.rint(np.concatenate([inputs[:, 0, 0, 0] for inputs, _ in batches]) * 255).astype(int)


def test_held_out_images_are_of_all_classes_and_never_trained_on(tmp_path: Path) -> None:
    images = opened(archive(tmp_path / "a.npz", np.arange(100) % 3), held_out=0.2)
    held_out, trained = numbers(images.evaluation()), np.concatenate([numbers(images.epoch(number)) for number in range(3)])
    assert np.bincount(held_out % 3).tolist() == [7, 7, 7]  # a fifth of 34, 33 and 33
    assert not set(held_out) & set(trained)
    assert images.steps == 79 // 8
    assert set(numbers([(inputs, None) for inputs in images.calibration(1000)])) == set(range(100)) - set(held_out)


def test_a_part_of_their_own_is_held_out_and_all_others_are_trained_on(tmp_path: Path) -> None:
    own = np.zeros((6, 4, 4, 1), np.uint8)
    own[:, 0, 0, 0] = np.arange(200, 206)
    path = archive(tmp_path / "a.npz", np.arange(40) % 3, x_val=own, y_val=np.arange(6)[::-1] % 3)
    training, labels = Training(batch=8, held_out=0.2), ["a", "b", "c"]
    parts = [open_images(path, SPEC, role=role, labels=labels) for role in ("training", "validation")]
    images = TrainingImages(parts[0], SPEC, 3, training, parts[1])
    assert numbers(images.evaluation()).tolist() == list(range(200, 206))
    assert np.concatenate([labels for _, labels in images.evaluation()]).tolist() == [2, 1, 0, 2, 1, 0]
    assert set(numbers(images.epoch(0))) == set(range(40)) and images.steps == 5
    assert (len(images.trained), len(images.held_out)) == (40, 6)


def test_each_epoch_has_its_own_order_and_always_the_same(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", np.arange(100) % 3)
    first, again, other_seed = (opened(path, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(numbers(first.epoch(1)), numbers(again.epoch(1)))
    assert (numbers(first.epoch(0)) != numbers(first.epoch(1))).any()
    assert set(numbers(first.evaluation())) != set(numbers(other_seed.evaluation()))


def test_labels_follow_their_images(tmp_path: Path) -> None:
    images = opened(archive(tmp_path / "a.npz", np.arange(100) % 3))
    for inputs, labels in images.epoch(0):
        np.testing.assert_array_equal(np.rint(inputs[:, 0, 0, 0] * 255).astype(int) % 3, labels)


@pytest.mark.parametrize(
    ("labels", "outputs", "expected"),
    [
        (np.zeros(40, int), 3, "at least two classes"),
        (np.arange(6) % 3, 3, "at least one batch of 8 images"),
        (np.arange(40) % 5, 3, "labels from 0 to 2, found label 3"),
        (np.arange(40) % 3 - 1, 3, "found label -1"),
        (np.eye(4)[np.arange(40) % 4], 3, "3 columns in y_train, one per class of the model, found 4"),
        (np.array(["cat", "dog", "emu", "fox"])[np.arange(40) % 4], 3, "not the model's 3 classes"),
        (np.arange(40) % 3, 1, "found label 2"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray, outputs: int, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        opened(archive(tmp_path / "a.npz", labels), outputs)
    assert expected in str(caught.value)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((40, 4, 4, 1), np.uint8))
    with pytest.raises(DataError, match=r"labelled images of the model's 3 classes.*no y in the archive"):
        opened(tmp_path / "x.npz")


def test_augmentation_mirrors_moves_and_enlarges() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 6, 8, 3)).astype(np.uint8)
    same = augment(pixels, Augmentation(), np.random.default_rng(1))
    np.testing.assert_array_equal(same, pixels)
    flipped = augment(pixels, Augmentation(flip=True), np.random.default_rng(1))
    mirrored = [(image == before[:, ::-1]).all() for image, before in zip(flipped, pixels, strict=True)]
    kept = [(image == before).all() for image, before in zip(flipped, pixels, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48
    moved = augment(pixels, Augmentation(shift=0.25), np.random.default_rng(1))
    inner = [any((image[1:5, 2:6] == before[1 + y : 5 + y, 2 + x : 6 + x]).all() for y in (-1, 0, 1) for x in (-2, -1, 0, 1, 2))
             for image, before in zip(moved, pixels, strict=True)]  # fmt: skip
    assert sum(inner) == 64
    assert sum((image == before).all() for image, before in zip(moved, pixels, strict=True)) < 20
    zoomed = augment(pixels, Augmentation(zoom=0.5), np.random.default_rng(1))
    assert zoomed.shape == pixels.shape
    assert zoomed.dtype == np.uint8
    np.testing.assert_array_equal(zoomed, augment(pixels, Augmentation(zoom=0.5), np.random.default_rng(1)))
