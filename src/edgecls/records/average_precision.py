"""Average precision: how well scores put the images that have a class before those that have not."""

from __future__ import annotations

import numpy as np


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the precision-recall steps: the mean, over the images that have the class, of the precision at their scores.

    As scikit-learn's `average_precision_score`: equal scores are one step, nothing is interpolated.

    Args:
        truth: whether each image has the class, bool [N].
        scores: float [N].

    Returns:
        0..1, None where no image has it.
    """
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits, sorted_scores = np.cumsum(truth[order]), scores[order]
    steps = np.append(np.flatnonzero(np.diff(sorted_scores)), len(scores) - 1)  # the last image of each score
    recall, precision = hits[steps] / hits[-1], hits[steps] / (steps + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def mean_average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean of `average_precision` over the classes that some image has.

    Args:
        truth: multi-hot labels [N, classes], at least one of them not zero.
        scores: float [N, classes].
    """
    found = (average_precision(truth[:, place] != 0, scores[:, place]) for place in range(truth.shape[1]))
    return float(np.mean([value for value in found if value is not None]))
