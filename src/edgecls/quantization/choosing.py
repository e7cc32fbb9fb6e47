"""Choosing: whether one way of quantizing is better than another on images that made neither.

Few images tell little: who is ahead on five may be behind on the next five. So a challenger replaces the champion only where it is ahead
by more than chance explains in what the scores are computed from, and behind by no more than that in each other measure; by twice that in
winners, of which a few images change. With few images hardly anything is, and what needs no choosing stays: ranges from lowest to highest
value, weights rounded to the nearest code.

What leads is the error of the logits: it is about as large on each image, so that few tell it. Behind a softmax a few undecided images
make up most of the error, whoever is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.quantization.logits import LEAST_SHARE

FEWEST = 4  # images that may judge: the error of a mean of fewer is not known
STANDARD_ERRORS = 1.0  # of a mean difference, that chance explains


@dataclass(frozen=True)
class Measured:
    """How an attempt answers on the judging images.

    Attributes:
        logits: of each image, the error energy of its logits over the mean energy of the float model's [n].
        scores: the same of its scores [n].
        divergence: of each image, the Kullback-Leibler divergence from the float model's answer in nats [n].
        kept: of each image, whether the winner is the float model's [n], bool.
    """

    logits: np.ndarray
    scores: np.ndarray
    divergence: np.ndarray
    kept: np.ndarray

    @property
    def loss(self) -> float:
        """Share of the scores' energy that is error."""
        return float(self.scores.mean()) if len(self.scores) else np.inf


def measure(reference: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> Measured:
    """Compare the scores of each head [n, outputs] with the float model's; each measure is the mean of the heads."""
    heads = [_measure(asked, found) for asked, found in zip(reference, scores, strict=True)]
    return Measured(
        np.mean([head.logits for head in heads], axis=0),
        np.mean([head.scores for head in heads], axis=0),
        np.mean([head.divergence for head in heads], axis=0),
        np.all([head.kept for head in heads], axis=0),
    )


def is_better(challenger: Measured, champion: Measured, *, expected: bool = False) -> bool:
    """Whether the challenger is ahead on the same images by more than chance explains.

    Args:
        expected: it is better for a reason of its own, so that being ahead at all is enough.
    """
    if len(champion.logits) < FEWEST:
        return False
    others = challenger.scores - champion.scores, challenger.divergence - champion.divergence
    lost = champion.kept.astype(float) - challenger.kept
    return (
        _z(challenger.logits - champion.logits) < (0 if expected else -STANDARD_ERRORS)
        and all(_z(other) <= STANDARD_ERRORS for other in others)
        and _z(lost) <= 2 * STANDARD_ERRORS
    )


def _z(differences: np.ndarray) -> float:
    """The mean difference in its standard errors; 0 where nothing differs."""
    error = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    mean = float(differences.mean())
    return mean / error if error else np.inf * np.sign(mean) if mean else 0.0


def _measure(asked: np.ndarray, found: np.ndarray) -> Measured:
    truth, answer = _shares(asked), _shares(found)
    logits, other = np.log(truth), np.log(answer)
    divergence = (truth * (logits - other)).sum(axis=1)
    return Measured(_energy(logits, other), _energy(asked, found), divergence, truth.argmax(axis=1) == answer.argmax(axis=1))


def _energy(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Error energy of each row [n, outputs], centred: an offset common to all classes changes no decision."""
    centred, other = (
        part.astype(np.float64) - part.mean(axis=1, keepdims=True, dtype=np.float64) * (part.shape[1] > 1)
        for part in (reference, values)
    )
    energy = float(np.square(centred).sum(axis=1).mean())
    return np.square(other - centred).sum(axis=1) / max(energy, np.finfo(np.float32).tiny)


def _shares(scores: np.ndarray) -> np.ndarray:
    """Scores [n, outputs] as probabilities that sum to 1: those of a softmax as they are, others by one; a single one with its rest."""
    scores = scores.astype(np.float64)
    if scores.shape[1] == 1:
        inside = bool(((scores >= 0) & (scores <= 1)).all())
        first = scores if inside else 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
        scores = np.concatenate([first, 1 - first], axis=1)
    elif (scores < 0).any() or np.abs(scores.sum(axis=1) - 1).max() > 0.05:
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = np.maximum(scores, LEAST_SHARE)
    return shares / shares.sum(axis=1, keepdims=True)
