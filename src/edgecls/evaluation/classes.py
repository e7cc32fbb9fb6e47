"""How each class fares, and what it is taken for. The first winner counts, as an application takes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecls.evaluation.answers import Answers
from edgecls.evaluation.statistics import wilson_interval
from edgecls.records.accuracy import Accuracy, ClassAccuracy, Confusion


def with_classes(
    accuracy: Accuracy, answers: Answers, labels: np.ndarray, names: Sequence[str], reference: Answers | None
) -> Accuracy:
    """The accuracy with its table of classes and its confusion matrix.

    Args:
        labels: class index per image, int64 [N].
        names: of the classes; `class_7` where there are fewer.
        reference: answers to the same images to compare with.
    """
    ours = _figures(answers, labels)
    theirs = None if reference is None else _figures(reference, labels)
    rows = [
        ClassAccuracy(
            index=index,
            label=names[index] if index < len(names) else f"class_{index}",
            support=support,
            recall=recall,
            precision=precision,
            f1=f1,
            recall_interval=wilson_interval(round(recall * support), support) if support else None,
            recall_delta=None if theirs is None else recall - theirs[index][1],
            f1_delta=None if theirs is None else f1 - theirs[index][2],
        )
        for index, (precision, recall, f1, support) in enumerate(ours)
    ]
    return accuracy.model_copy(update={"classes": rows, "confusion": _confusion(answers, labels)})


def _figures(answers: Answers, labels: np.ndarray) -> list[tuple[float, float, float, int]]:
    """(precision, recall, f1, support) of each class; a share of nothing is 0. An image without an answer is a miss of its class alone."""
    winners = answers.winners
    named = winners[winners >= 0]
    support, called, hits = (
        np.bincount(found, minlength=answers.classes) for found in (labels, named, labels[labels == winners])
    )
    precision, recall, f1 = (hits / np.maximum(of, 1) for of in (called, support, (called + support) / 2))
    return list(zip(precision.tolist(), recall.tolist(), f1.tolist(), support.tolist(), strict=True))


def _confusion(answers: Answers, labels: np.ndarray) -> Confusion:
    """Images without an answer are left out."""
    answered = answers.winners >= 0
    pairs = np.stack([labels[answered], answers.winners[answered]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    entries = [(label, winner, images) for (label, winner), images in zip(found.tolist(), counts.tolist(), strict=True)]
    return Confusion(classes=answers.classes, entries=entries)
