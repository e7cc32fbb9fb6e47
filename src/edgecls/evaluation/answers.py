"""From scores to answers: who wins, how much of a hit that is, and how often two artifacts differ. Ties count as shares, never by luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.artifact import OutputKind
from edgecls.errors import DataError
from edgecls.measurement import Accuracy, Flips

_TOP = 5
_THRESHOLD: dict[OutputKind, float] = {"sigmoid": 0.5, "softmax": 0.5, "logits": 0.0}  # of a single output


@dataclass(frozen=True)
class Answers:
    """What an artifact answered to N images, in their order.

    Attributes:
        winners: class of the highest score, int32 [N]; the first of them where several tie; -1 where scores are not numbers.
        classes: number of classes.
        ties: for those images with several winners, all of them as a packed bit mask over the classes: small even where every class
            of a thousand wins.
        top1, top5: share of a hit of each image, float32 [N]; None without labels, top5 also for five classes or fewer.
    """

    winners: np.ndarray
    classes: int
    ties: dict[int, np.ndarray]
    top1: np.ndarray | None = None
    top5: np.ndarray | None = None

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
    """Reduce scores [N, outputs] to answers; `labels` int [N] or None.

    A single output decides between two classes: class 1 above 0.5 (above 0 for logits).

    Raises:
        DataError: a label that is no class of this artifact.
    """
    classes = max(scores.shape[1], 2)
    if labels is not None and len(labels) and labels.max() >= classes:
        raise DataError(f"labels from 0 to {classes - 1}", f"label {labels.max()}", "give the data of this model")
    sound = np.isfinite(scores).all(axis=1)
    if scores.shape[1] == 1:
        upper = scores > _THRESHOLD[kind]
        scores = np.concatenate([~upper, upper], axis=1).astype(np.float32)
    best = scores.max(axis=1, keepdims=True)
    winning = scores == best
    winners = np.where(sound, winning.argmax(axis=1), -1).astype(np.int32)
    tied = np.flatnonzero(sound & (winning.sum(axis=1) > 1))
    ties = {int(row): np.packbits(winning[row]) for row in tied}
    if labels is None:
        return Answers(winners, classes, ties)
    top1 = _hits(scores, labels, 1) * sound
    return Answers(winners, classes, ties, top1, _hits(scores, labels, _TOP) * sound if classes > _TOP else None)


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
    )


def accuracy_of(answers: Answers) -> Accuracy | None:
    """Mean hits; None without labels."""
    if answers.top1 is None:
        return None
    top5 = None if answers.top5 is None else float(answers.top5.mean(dtype=np.float64))
    return Accuracy(images=len(answers.top1), top1=float(answers.top1.mean(dtype=np.float64)), top5=top5)


def flips_of(answers: Answers, reference: Answers, name: str) -> Flips:
    """How often the winner differs from the reference's.

    Where winners tie, an image counts by the share of winners the two do not have in common, `1 - |A & B| / max(|A|, |B|)`: an artifact
    whose scores are all equal agrees by one part in the number of classes, not always. The sum is rounded.
    """
    differs = (answers.winners != reference.winners).astype(np.float64)
    for row in answers.ties.keys() | reference.ties.keys():
        ours, theirs = answers.mask(row), reference.mask(row)
        differs[row] = 1.0 - _bits(ours & theirs) / max(_bits(ours), _bits(theirs))
    return Flips(reference=name, images=len(differs), count=int(differs.sum() + 0.5))


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
