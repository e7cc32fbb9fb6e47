"""What a training minimizes, what its images should be answered with, what each counts, and how held-out answers are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.errors import DataError
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.training import TrainingMeasure, TrainingPlan
from edgecls.system.extras import require

_GAMMA = 2.0
_SINGLE = "one class for each image"


@dataclass(frozen=True)
class Objective:
    """The question a network is trained for. Labels are a class index per image, int64 [N], or multi-hot rows, uint8 [N, classes].

    Attributes:
        classes: how many there are.
    """

    plan: TrainingPlan
    classes: int

    def require_fitting(self, labels: np.ndarray) -> None:
        """Refuse what the plan cannot do with such labels.

        Raises:
            DataError: several classes to an image where one is needed, or more than two for one output.
        """
        if self.plan.binary and self.classes != 2:
            raise DataError(
                "two classes for --head binary", f"{self.classes}", "leave binary out: a softmax has an output for each"
            )
        if labels.ndim == 1:
            return
        if not self.plan.multi_label:
            raise DataError(_SINGLE, "images with several classes or none", "say so with --multi-label, or give each image one")
        for option, asked in (
            ("--class-weights balanced", self.plan.class_weights == "balanced"),
            ("--oversample", self.plan.oversample),
        ):
            if asked:
                raise DataError(f"{_SINGLE} with {option}", "images with several classes or none", f"leave {option} out")

    @property
    def outputs(self) -> int:
        """Length of the score vector."""
        return 1 if self.plan.binary else self.classes

    @property
    def measure(self) -> TrainingMeasure:
        """What held-out images are judged by: where classes are to count alike, by their mean recall."""
        if self.plan.multi_label:
            return "mAP"
        evened = self.plan.class_weights == "balanced" or self.plan.loss == "focal" or self.plan.oversample
        return "balanced accuracy" if evened else "top-1"

    @property
    def words(self) -> str:
        """The loss, for people."""
        kind = "binary" if self.plan.binary or self.plan.multi_label else "categorical"
        return f"{kind} {self.plan.loss}" + (f" (γ {_GAMMA:g})" if self.plan.loss == "focal" else "")

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """What images should be answered with, as `loss` takes it."""
        if self.plan.multi_label:
            return labels.astype(np.float32) if labels.ndim == 2 else _one_hot(labels, self.classes)
        if self.plan.binary:
            return labels.astype(np.float32)[:, None]
        return _one_hot(labels, self.classes) if self.plan.loss == "focal" else labels.astype(np.int64)

    def loss(self) -> Any:
        """The Keras loss, of probabilities."""
        losses = require("keras").losses
        binary = self.plan.binary or self.plan.multi_label
        if self.plan.loss == "focal":
            return losses.BinaryFocalCrossentropy(gamma=_GAMMA) if binary else losses.CategoricalFocalCrossentropy(1.0, _GAMMA)
        return losses.BinaryCrossentropy() if binary else losses.SparseCategoricalCrossentropy()

    def weights(self, labels: np.ndarray, trained: np.ndarray) -> np.ndarray | None:
        """What each image counts, float32 [N], on average 1 over those that are trained on; None where all count alike."""
        if self.plan.class_weights == "equal":
            return None
        counts = np.bincount(labels[trained], minlength=self.classes)
        each = len(trained) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return each[labels].astype(np.float32)

    def drawn(self, labels: np.ndarray, trained: np.ndarray) -> np.ndarray:
        """The images of an epoch: each of `trained` once, or with `oversample` so often that every class has as many as the largest."""
        if not self.plan.oversample:
            return trained
        generator = np.random.default_rng([self.plan.seed, len(trained)])
        mine = labels[trained]
        most = int(np.bincount(mine).max())
        groups = [generator.permutation(trained[mine == label]) for label in np.unique(mine)]
        return np.sort(np.concatenate([np.resize(group, most) for group in groups]))

    def judge(self, scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """(loss, score 0..1 by `measure`) of scores [n, outputs] of images with these labels [n]."""
        targets = self.targets(labels)
        loss = float(self.loss()(targets, scores))
        if self.measure == "mAP":
            return loss, mean_average_precision(targets.astype(np.uint8), scores)
        hits = (scores[:, 0] > 0.5 if self.outputs == 1 else scores.argmax(axis=-1)) == labels
        if self.measure == "top-1":
            return loss, float(hits.mean())
        return loss, float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def _one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[labels]
