"""Classes that do not exclude each other: which an artifact predicts of an image, how well, and how often two artifacts differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgecls.evaluation.statistics import mcnemar_p
from edgecls.records.accuracy import Flips
from edgecls.records.average_precision import average_precision, mean_average_precision
from edgecls.records.multilabel import THRESHOLD, LabelAccuracy, LabelSetFlip, MultiLabelAccuracy

_MOST_LISTED = 1000  # as of other flips


def multilabel_accuracy(
    scores: np.ndarray, labels: np.ndarray, names: Sequence[str], reference: np.ndarray | None = None
) -> MultiLabelAccuracy | None:
    """Figures of all classes; None where no image has any of them.

    Args:
        scores: probabilities [N, classes].
        labels: multi-hot [N, classes].
        names: of the classes; `class_7` where there are fewer.
        reference: probabilities of another artifact on the same images to compare with.
    """
    truth = labels != 0
    if not truth.any():
        return None
    rows = [
        _label(index, names, truth[:, index], scores[:, index], None if reference is None else reference[:, index])
        for index in range(truth.shape[1])
    ]
    predicted = scores >= THRESHOLD
    return MultiLabelAccuracy(
        images=len(truth),
        mean_average_precision=mean_average_precision(truth, scores),
        macro_f1=float(np.mean([row.f1 for row in rows if row.support])),
        micro_f1=_precision_recall_f1(truth.ravel(), predicted.ravel())[2],
        exact_match=float((predicted == truth).all(axis=1).mean()),
        classes=rows,
    )


def set_flips(
    scores: np.ndarray, reference: np.ndarray, name: str, labels: np.ndarray | None, image_name: Callable[[int], str]
) -> Flips:
    """On how many images the set of predicted classes is not the reference's.

    Args:
        scores, reference: probabilities [N, classes].
        labels: multi-hot [N, classes].
        image_name: what to call an image of this index.
    """
    ours, theirs = scores >= THRESHOLD, reference >= THRESHOLD
    differs = (ours != theirs).any(axis=1)
    listed = np.flatnonzero(differs)
    found = Flips(reference=name, images=len(ours), count=len(listed))
    if labels is not None:
        ours_right, theirs_right = (ours == labels).all(axis=1), (theirs == labels).all(axis=1)
        lost, gained = int((theirs_right & ~ours_right).sum()), int((ours_right & ~theirs_right).sum())
        found = found.model_copy(update={"lost": lost, "gained": gained, "mcnemar_p": mcnemar_p(lost, gained)})
        listed = listed[np.argsort(~theirs_right[listed], kind="stable")]
    flips = [
        LabelSetFlip(
            index=index,
            image=image_name(index),
            labels=None if labels is None else np.flatnonzero(labels[index]).tolist(),
            appeared=np.flatnonzero(ours[index] & ~theirs[index]).tolist(),
            vanished=np.flatnonzero(theirs[index] & ~ours[index]).tolist(),
        )
        for index in listed[:_MOST_LISTED].tolist()
    ]
    return found.model_copy(update={"sets_listed": flips})


def _label(
    index: int, names: Sequence[str], truth: np.ndarray, scores: np.ndarray, reference: np.ndarray | None
) -> LabelAccuracy:
    precision, recall, f1 = _precision_recall_f1(truth, scores >= THRESHOLD)
    found = LabelAccuracy(
        index=index,
        label=names[index] if index < len(names) else f"class_{index}",
        support=int(truth.sum()),
        average_precision=average_precision(truth, scores),
        precision=precision,
        recall=recall,
        f1=f1,
    )
    if truth[::2].any() and truth[1::2].any():
        best = _best_threshold(truth[::2], scores[::2])
        best_f1 = _precision_recall_f1(truth[1::2], scores[1::2] >= best)[2]
        found = found.model_copy(update={"best_threshold": best, "best_f1": best_f1})
    if reference is None or found.average_precision is None:
        return found
    change = found.average_precision - (average_precision(truth, reference) or 0.0)
    f1_change = f1 - _precision_recall_f1(truth, reference >= THRESHOLD)[2]
    return found.model_copy(update={"average_precision_delta": change, "f1_delta": f1_change})


def _precision_recall_f1(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float, float]:
    """0 where nothing is there to be divided by."""
    hits, said, there = int((truth & predicted).sum()), int(predicted.sum()), int(truth.sum())
    return hits / max(said, 1), hits / max(there, 1), 2 * hits / max(said + there, 1)


def _best_threshold(truth: np.ndarray, scores: np.ndarray) -> float:
    """The score from which on predicting gives the highest F1; the highest of several."""
    order = np.argsort(-scores, kind="stable")
    hits, said = np.cumsum(truth[order]), np.arange(1, len(truth) + 1)
    f1 = np.where(np.diff(scores[order], append=-np.inf) < 0, 2 * hits / (said + hits[-1]), 0.0)  # equal scores stand together
    return float(scores[order[f1.argmax()]])
