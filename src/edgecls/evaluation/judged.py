"""From scores and labels to an Evaluation, with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.data.label_file import default_labels
from edgecls.data.multi_hot import answer_apart
from edgecls.errors import DataError, InputError
from edgecls.evaluation.answers import Answers, accuracy_of, judge_scores
from edgecls.evaluation.classes import with_classes
from edgecls.evaluation.label_sets import multilabel_accuracy
from edgecls.evaluation.probabilities import probabilities
from edgecls.evaluation.ranking import recall_threshold, roc_auc
from edgecls.records.artifact import OutputKind
from edgecls.records.counted import counted
from edgecls.records.evaluation import Evaluation, Mistake, RecallThreshold
from edgecls.records.multilabel import THRESHOLD

RECALL = 0.95
WORST = 24  # mistakes that are listed


@dataclass(frozen=True)
class _Asked:
    """What is to be found of a classifier with these scores; `name` tells what an image is called."""

    labels: list[str]
    kind: OutputKind
    positive: str | None
    recall: float
    worst: int
    name: Callable[[int], str]

    def place(self, classes: int) -> int | None:
        """Index of the class of interest; the second of two where none is named, None of more."""
        if self.positive is None:
            return 1 if classes == 2 else None
        if self.positive in self.labels:
            return self.labels.index(self.positive)
        shown = ", ".join(self.labels[:8]) + (", …" if len(self.labels) > 8 else "")
        raise InputError(f"--positive among the labels ({shown})", repr(self.positive), "write it as the label file does")

    def thresholds(self, truth: np.ndarray, chances: np.ndarray, places: Iterable[int]) -> list[RecallThreshold]:
        """Of these classes, as far as they have images: `truth` and `chances` are [N, classes]."""
        found = (recall_threshold(truth[:, at], chances[:, at], self.recall, at, self.labels[at]) for at in places)
        return [item for item in found if item is not None]


def require_recall(recall: float) -> None:
    """Refuse what is no share of a class's images.

    Raises:
        InputError: not above 0 and at most 1.
    """
    if not 0 < recall <= 1:
        raise InputError("--recall above 0 and at most 1", f"{recall:g}", "write as --recall 0.95")


def judge(
    scores: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str] | None = None,
    *,
    kind: OutputKind | None = None,
    positive: str | None = None,
    recall: float = RECALL,
    worst: int = WORST,
) -> Evaluation:
    """How a classifier fares on labelled images.

    Args:
        scores: [N, outputs]; one output decides between two classes.
        targets: class index of each image, int [N], or multi-hot rows [N, outputs].
        labels: of the classes; empty for class_0, class_1 …
        names: of the images.
        kind: what the scores are; None: sigmoids where there is one output or targets are multi-hot, else of a softmax.
        positive: label of the class that ROC-AUC and threshold are of; None: the second of two.
        recall: share of its images that the threshold is to find, above 0, at most 1.
        worst: how many mistakes to list.

    Raises:
        DataError: no images, labels that are no class, or multi-hot rows for scores that exclude each other.
        InputError: no class of the name `positive`, or no such recall.
    """
    require_recall(recall)
    targets = np.asarray(targets)
    if not len(scores) or len(scores) != len(targets):
        raise DataError("scores and labels of the same images", f"{len(scores)} and {len(targets)}", "give both for each image")
    classes = max(2, scores.shape[1])
    if labels and len(labels) != classes:
        raise DataError(f"{classes} labels, one per class", f"{len(labels)}", "give the label file of this model")
    asked = _Asked(
        labels=list(labels) or default_labels(classes),
        kind=kind or ("sigmoid" if scores.shape[1] == 1 or targets.ndim == 2 else "softmax"),
        positive=positive,
        recall=recall,
        worst=worst,
        name=lambda index: names[index] if names is not None else "",
    )
    return _of_sets(scores, targets, asked) if targets.ndim == 2 else _of_winners(scores, targets.astype(np.int64), asked)


def _of_winners(scores: np.ndarray, targets: np.ndarray, asked: _Asked) -> Evaluation:
    answers = judge_scores(scores, targets, asked.kind)
    found = accuracy_of(answers)
    assert found is not None  # there are labels
    accuracy = with_classes(found, answers, targets, asked.labels, None)
    place = asked.place(answers.classes)
    chances = _ranked(probabilities(scores, asked.kind))
    truth = targets[:, None] == np.arange(answers.classes)
    wrong = np.flatnonzero(answers.winners != targets)
    return Evaluation(
        output_kind=asked.kind,
        labels=asked.labels,
        images=len(targets),
        accuracy=accuracy,
        balanced_accuracy=float(np.mean([row.recall for row in accuracy.classes if row.support])),
        positive=place,
        roc_auc=None if place is None else roc_auc(truth[:, place], chances[:, place]),
        thresholds=[] if place is None else asked.thresholds(truth, chances, [place]),
        mistakes=_mistakes(answers, targets, wrong, asked),
        mistakes_total=len(wrong),
        notes=_about([row.label for row in accuracy.classes if not row.support], answers.not_numbers),
    )


def _of_sets(scores: np.ndarray, targets: np.ndarray, asked: _Asked) -> Evaluation:
    if not answer_apart(asked.kind, scores.shape[1]) or targets.shape != scores.shape:
        found = f"rows of {targets.shape[1]} and scores [N, {scores.shape[1]}] ({asked.kind})"
        remedy = "give one label for each image, or a model that ends in a sigmoid"
        raise DataError("multi-hot rows for as many sigmoids", found, remedy)
    accuracy = multilabel_accuracy(scores, targets, asked.labels)
    if accuracy is None:
        raise DataError("an image that has a class", f"{len(targets)} images without any", "give other data")
    truth, answered, chances = targets != 0, scores >= THRESHOLD, _ranked(scores)
    place = asked.place(scores.shape[1]) if asked.positive else None
    wrong = np.flatnonzero((answered != truth).any(axis=1))
    error = np.where(answered != truth, np.abs(np.nan_to_num(scores) - truth), 0).max(axis=1)
    return Evaluation(
        output_kind=asked.kind,
        labels=asked.labels,
        images=len(targets),
        multilabel=accuracy,
        positive=place,
        roc_auc=None if place is None else roc_auc(truth[:, place], chances[:, place]),
        thresholds=asked.thresholds(truth, chances, range(scores.shape[1]) if place is None else [place]),
        mistakes=[
            Mistake(
                index=index,
                image=asked.name(index),
                truth=np.flatnonzero(truth[index]).tolist(),
                answer=np.flatnonzero(answered[index]).tolist(),
                confidence=float(error[index]),
            )
            for index in wrong[np.argsort(-error[wrong], kind="stable")][: asked.worst].tolist()
        ],
        mistakes_total=len(wrong),
    )


def _ranked(chances: np.ndarray) -> np.ndarray:
    """What is not a number is less likely than anything that is."""
    return np.where(np.isnan(chances), -np.inf, chances)


def _mistakes(answers: Answers, targets: np.ndarray, wrong: np.ndarray, asked: _Asked) -> list[Mistake]:
    """The most confident of the wrong answers; in the order of the images where scores are no probabilities."""
    confidence = answers.confidence
    if confidence is None or not np.isfinite(confidence).all():
        confidence = None
    else:
        wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return [
        Mistake(
            index=index,
            image=asked.name(index),
            truth=[int(targets[index])],
            answer=[int(answers.winners[index])] if answers.winners[index] >= 0 else [],
            confidence=None if confidence is None else float(confidence[index]),
        )
        for index in wrong[: asked.worst].tolist()
    ]


def _about(missing: Sequence[str], not_numbers: int) -> list[str]:
    notes = []
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        notes.append(f"{counted(len(missing), 'class')} without an image here ({shown}): balanced accuracy is over the others")
    if not_numbers:
        notes.append(f"{counted(not_numbers, 'image')} without an answer, since scores are not numbers")
    return notes
