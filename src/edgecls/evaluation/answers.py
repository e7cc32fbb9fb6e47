"""From scores to answers: who wins, how much of a hit that is, and how often two artifacts differ. Ties count as shares, never by luck.

Where classes do not exclude each other there is no winner to count, and the scores themselves are kept: see `label_sets`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgecls.data.multi_hot import answer_apart, threshold_of
from edgecls.errors import DataError
from edgecls.evaluation.label_sets import set_flips
from edgecls.evaluation.statistics import calibration_of, mcnemar_p, wilson_interval
from edgecls.records.accuracy import Accuracy, Flip, Flips
from edgecls.records.artifact import OutputKind

_TOP = 5
_MOST_LISTED = (
    1000  # flips; tens of variants on tens of thousands of images would otherwise outgrow everything else in the results
)
_SLACK = 0.02  # int8 probabilities, in steps of 1/256, may sum a little past 1


@dataclass(frozen=True)
class Answers:
    """What an artifact answered to N images, in their order.

    Attributes:
        winners: class of the highest score, int32 [N]; the first of them where several tie; -1 where scores are not numbers.
        classes: number of classes.
        ties: for those images with several winners, all of them as a packed bit mask over the classes: small even where every class
            of a thousand wins.
        top1, top5: share of a hit of each image, float32 [N]; None without labels, top5 also for five classes or fewer.
        confidence: probability of the winner, float32 [N]; NaN where scores are no probabilities. None without labels.
        scores: float32 [N, classes] where each answers for a class of its own and no image is known to have exactly one; else None, and
            the winner counts.
    """

    winners: np.ndarray
    classes: int
    ties: dict[int, np.ndarray]
    top1: np.ndarray | None = None
    top5: np.ndarray | None = None
    confidence: np.ndarray | None = None
    scores: np.ndarray | None = None

    @property
    def not_numbers(self) -> int:
        """Images whose scores hold NaN or infinity."""
        return int((self.winners < 0).sum())

    def mask(self, row: int) -> np.ndarray:
        """All winners of an image as a packed bit mask."""
        if row in self.ties:
            return self.ties[row]
        return np.packbits(np.arange(self.classes) == self.winners[row])


def judge_scores(scores: np.ndarray, labels: np.ndarray | None, kind: OutputKind) -> Answers:
    """Reduce scores [N, outputs] to answers; `labels` int [N], multi-hot [N, outputs], or None.

    A single output decides between two classes: class 1 above 0.5 (above 0 for logits). Sigmoids are judged by the highest, as other
    scores are, when images have one label each.

    Raises:
        DataError: a label that is no class of this artifact.
    """
    if answer_apart(kind, scores.shape[1]) and (labels is None or labels.ndim == 2):
        return replace(judge_scores(scores, None, "softmax"), scores=scores.astype(np.float32))
    classes = max(scores.shape[1], 2)
    if labels is not None and labels.ndim == 2:
        raise DataError("one label for each image, as the scores exclude each other", "multi-hot rows", "give one-hot rows")
    if labels is not None and len(labels) and labels.max() >= classes:
        raise DataError(f"labels from 0 to {classes - 1}", f"label {labels.max()}", "give the data of this model")
    sound = np.isfinite(scores).all(axis=1)
    confidence = None if labels is None else _confidence(scores, kind)
    if scores.shape[1] == 1:
        upper = scores > threshold_of(kind)
        scores = np.concatenate([~upper, upper], axis=1).astype(np.float32)
    best = scores.max(axis=1, keepdims=True)
    winning = scores == best
    winners = np.where(sound, winning.argmax(axis=1), -1).astype(np.int32)
    tied = np.flatnonzero(sound & (winning.sum(axis=1) > 1))
    ties = {int(row): np.packbits(winning[row]) for row in tied}
    if labels is None:
        return Answers(winners, classes, ties)
    top1 = _hits(scores, labels, 1) * sound
    top5 = _hits(scores, labels, _TOP) * sound if classes > _TOP else None
    return Answers(winners, classes, ties, top1, top5, confidence)


def join(parts: Sequence[Answers]) -> Answers:
    """Answers of consecutive images as one."""
    offsets = np.cumsum([0, *(len(part.winners) for part in parts)])
    ties = {row + int(offset): found for part, offset in zip(parts, offsets, strict=False) for row, found in part.ties.items()}
    return Answers(
        np.concatenate([part.winners for part in parts]),
        parts[0].classes,
        ties,
        _concatenate([part.top1 for part in parts]),
        _concatenate([part.top5 for part in parts]),
        _concatenate([part.confidence for part in parts]),
        _concatenate([part.scores for part in parts]),
    )


def accuracy_of(answers: Answers) -> Accuracy | None:
    """Mean hits with their intervals; None without labels."""
    if answers.top1 is None:
        return None
    images, top1 = len(answers.top1), answers.top1.astype(np.float64)
    tied = np.zeros(images, bool)
    tied[list(answers.ties)] = True
    top5 = None if answers.top5 is None else float(answers.top5.mean(dtype=np.float64))
    calibrated = answers.confidence is not None and bool(np.isfinite(answers.confidence).all())
    return Accuracy(
        images=images,
        top1=float(top1.mean()),
        top5=top5,
        top1_interval=wilson_interval(float(top1.sum()), images),
        top5_interval=None if top5 is None else wilson_interval(top5 * images, images),
        tied_images=len(answers.ties),
        top1_lowest=float(np.where(tied, 0.0, top1).mean()),
        top1_highest=float(np.where(tied & (top1 > 0), 1.0, top1).mean()),
        calibration=calibration_of(answers.confidence, answers.top1) if calibrated and answers.confidence is not None else None,
    )


def flips_of(
    answers: Answers,
    reference: Answers,
    name: str,
    labels: np.ndarray | None = None,
    image_name: Callable[[int], str] = lambda index: "",
) -> Flips:
    """How often the winner differs from the reference's, or the set of predicted classes where they do not exclude each other.

    Where winners tie, an image counts by the share of winners the two do not have in common, `1 - |A & B| / max(|A|, |B|)`: an artifact
    whose scores are all equal agrees by one part in the number of classes, not always. The sum is rounded. What is paired and listed
    is the first winner, which an application takes.

    Args:
        labels: class index per image, int64 [N], or multi-hot [N, classes].
        image_name: what to call an image of this index.
    """
    if answers.scores is not None and reference.scores is not None:
        return set_flips(answers.scores, reference.scores, name, labels, image_name)
    differs = (answers.winners != reference.winners).astype(np.float64)
    listed = np.flatnonzero(differs)
    for row in answers.ties.keys() | reference.ties.keys():
        ours, theirs = answers.mask(row), reference.mask(row)
        differs[row] = 1.0 - _bits(ours & theirs) / max(_bits(ours), _bits(theirs))
    found = Flips(reference=name, images=len(differs), count=int(differs.sum() + 0.5))
    if labels is not None:
        theirs_right, ours_right = reference.winners == labels, answers.winners == labels
        lost, gained = int((theirs_right & ~ours_right).sum()), int((ours_right & ~theirs_right).sum())
        found = found.model_copy(update={"lost": lost, "gained": gained, "mcnemar_p": mcnemar_p(lost, gained)})
        listed = listed[np.argsort(~theirs_right[listed], kind="stable")]
    flips = [
        Flip(
            index=index,
            image=image_name(index),
            label=None if labels is None else int(labels[index]),
            reference_winner=int(reference.winners[index]),
            winner=int(answers.winners[index]),
        )
        for index in listed[:_MOST_LISTED].tolist()
    ]
    return found.model_copy(update={"images_listed": flips})


def _confidence(scores: np.ndarray, kind: OutputKind) -> np.ndarray:
    """Probability of the winner, float32 [N]; logits by softmax (one output: by the logistic function)."""
    scores = scores.astype(np.float64)
    if kind == "logits" and scores.shape[1] == 1:
        found = 1.0 / (1.0 + np.exp(-np.abs(scores[:, 0])))
    elif kind == "logits":
        best = scores.max(axis=1, keepdims=True)
        found = 1.0 / np.exp(scores - best).sum(axis=1)
    else:
        outside = (scores < -_SLACK) | (scores > 1 + _SLACK)
        best = np.maximum(scores[:, 0], 1 - scores[:, 0]) if scores.shape[1] == 1 else scores.max(axis=1)
        found = np.where(outside.any(axis=1), np.nan, np.clip(best, 0.0, 1.0))
    return found.astype(np.float32)


def _hits(scores: np.ndarray, labels: np.ndarray, places: int) -> np.ndarray:
    """Share of a hit: with g scores above the label's and e equal to it (itself included), (places - g) / e within 0..1."""
    own = scores[np.arange(len(scores)), labels][:, None]
    above = (scores > own).sum(axis=1)
    equal = np.maximum((scores == own).sum(axis=1), 1)  # a NaN equals nothing
    return np.clip((places - above) / equal, 0.0, 1.0).astype(np.float32)


def _bits(mask: np.ndarray) -> int:
    return int(np.bitwise_count(mask).sum())


def _concatenate(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if len(known) == len(columns) else None
