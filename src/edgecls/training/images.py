"""TrainingImages: shuffled batches of model inputs and labels, with others to judge on; the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecls.data import ImageSet
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Training
from edgecls.records.variant import Measure
from edgecls.training.augmentation import augment
from edgecls.training.part import Images

MOST_HELD_OUT = 2000  # enough to tell half a point of accuracy, and little beside an epoch
_EVALUATION_BATCH = 64


class TrainingImages:
    """Labelled images, those that are trained on and those that are held out: a part of their own where the data have one, else a share.

    Args:
        images: opened with the role `training`.
        outputs: length of the model's score vector; one output decides between two classes.
        own: opened with the role `validation`, where the data set images apart for it; then all of `images` are trained on.

    Raises:
        DataError: no labels, a single class, or fewer images than a batch.
    """

    def __init__(self, images: ImageSet, spec: ImageSpec, outputs: int, training: Training, own: ImageSet | None = None) -> None:
        self._spec, self._training = spec, training
        _require_labels(images, own, outputs)
        whole = Images.all_of(images)
        if own is None:
            trained, held_out = split(whole.labels, training.held_out, training.seed)
            self.trained, self.held_out = Images(images, trained, whole.labels), Images(images, held_out, whole.labels)
        else:
            self.trained, self.held_out = whole, Images.all_of(own)
        labels = self.trained.own_labels
        if (labels == labels[0]).all():
            raise DataError("images of at least two classes", f"{images.path}, all of one class", "add images of the others")
        if self.held_out.labels.ndim == 2 and not self.held_out.own_labels.any():
            raise DataError(
                "held-out images of which one has a class, to judge on",
                f"{len(self.held_out)} of {self.held_out.source.path} without",
                "hold more out: --held-out 0.2, or give more images" if own is None else "add such images to its val part",
            )
        if self.steps < 1:
            raise DataError(
                f"at least one batch of {training.batch} images to train on",
                f"{len(self.trained)} in {images.path} ({len(self.held_out)} more are held out)",
                f"add images, or take a smaller batch: --batch {max(1, len(self.trained) // 2)}",
            )

    @property
    def set_apart(self) -> bool:
        """Whether the held-out images are a part of their own, and no share of those that the model may know."""
        return self.held_out.source is not self.trained.source

    @property
    def measure(self) -> Measure:
        """What held-out images are judged by: the winner, or where an image may have several classes, mean average precision."""
        return "mAP" if self.held_out.labels.ndim == 2 else "top-1"

    @property
    def steps(self) -> int:
        """Training steps of an epoch; what is left over when the last batch is full waits for another epoch's order."""
        return len(self.trained) // self._training.batch

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches ([batch, *input_shape] float32, labels int64 [batch] or multi-hot [batch, outputs]) in an order of this epoch alone."""
        generator = np.random.default_rng([self._training.seed, number])
        order = generator.permutation(self.trained.chosen)
        batch = self._training.batch
        for start in range(0, self.steps * batch, batch):
            chosen = order[start : start + batch]
            pixels = self.trained.pixels.take(chosen)
            if self._training.augmentation is not None:
                pixels = augment(pixels, self._training.augmentation, generator)
            yield self._spec.apply(pixels), self.trained.labels[chosen]

    def evaluation(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The held-out images, as `epoch` gives them."""
        yield from self._in_order(self.held_out, self.held_out.chosen, _EVALUATION_BATCH)

    def calibration(self, count: int, size: int = 32) -> Iterator[np.ndarray]:
        """At most `count` model inputs of the images that are trained on, evenly spread over them."""
        spread = np.linspace(0, len(self.trained) - 1, min(count, len(self.trained))).astype(np.int64)
        for inputs, _ in self._in_order(self.trained, self.trained.chosen[spread], size):
            yield inputs

    def _in_order(self, images: Images, chosen: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            yield self._spec.apply(images.pixels.take(part)), images.labels[part]


def _require_labels(images: ImageSet, own: ImageSet | None, outputs: int) -> None:
    if not images.labelled:
        raise DataError(
            f"labelled images of the model's {max(outputs, 2)} classes",
            f"{images.path}: {images.note}",
            "name the classes with --labels, or give class folders or an .npz with y",
        )
    if own is not None and not own.labelled:
        raise DataError(
            "labels to judge on, of the classes that the training images have",
            f"{own.path}: {own.note}",
            "label that part as the training images are, or take it out: a share of the training images is then held out",
        )


def split(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices of the images to train on and of those held out: of each class its share, of multi-hot rows a share of all."""
    share = min(share, MOST_HELD_OUT / len(labels))
    generator = np.random.default_rng([seed, len(labels)])
    held_out = []
    groups = labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)
    for group in np.unique(groups):
        members = generator.permutation(np.flatnonzero(groups == group))
        held_out.append(members[: max(1, round(share * len(members)))] if len(members) > 1 else members[:0])
    out = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), out), out
