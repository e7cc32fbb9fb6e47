"""How well one class's probability tells its images from the others: area under the ROC curve, and the threshold of a wanted recall."""

from __future__ import annotations

import math

import numpy as np

from edgecls.evaluation.statistics import wilson_interval
from edgecls.records.evaluation import RecallThreshold


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """Chance that an image of the class scores higher than one of the others, ties counting half (Mann-Whitney).

    Args:
        truth: whether each image is of the class, bool [N].
        scores: of the class, float [N].

    Returns:
        0..1; None where all images are of the class, or none is.
    """
    others = np.sort(scores[~truth])
    if not len(others) or not truth.any():
        return None
    below, up_to = (np.searchsorted(others, scores[truth], side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))


def recall_threshold(truth: np.ndarray, scores: np.ndarray, wanted: float, index: int, label: str) -> RecallThreshold | None:
    """The highest threshold that finds at least the wanted share of a class's images.

    It is one of the scores, so that `score >= threshold` holds to the bit for the image that decided it.

    Args:
        truth: whether each image is of the class, bool [N].
        scores: of the class, float [N].
        wanted: above 0, at most 1.

    Returns:
        None where no image is of the class, or only scores that are not numbers would reach it.
    """
    own = np.sort(scores[truth])[::-1]
    if not len(own):
        return None
    threshold = own[math.ceil(wanted * len(own) - 1e-9) - 1]  # 0.95 of 20 are 19, though the product is a little more
    if not np.isfinite(threshold):
        return None
    answered = scores >= threshold
    hits, others = int((answered & truth).sum()), int((~truth).sum())
    return RecallThreshold(
        index=index,
        label=label,
        wanted=wanted,
        threshold=float(threshold),
        recall=hits / len(own),
        recall_interval=wilson_interval(hits, len(own)),
        precision=hits / int(answered.sum()),
        specificity=int((~answered & ~truth).sum()) / others if others else None,
    )
