"""Scores of one image to its best classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecls.data.multi_hot import answer_apart
from edgecls.errors import DataError
from edgecls.evaluation.probabilities import probabilities
from edgecls.records.artifact import OutputKind
from edgecls.records.multilabel import THRESHOLD
from edgecls.records.prediction import Prediction


def top_predictions(scores: np.ndarray, kind: OutputKind, labels: Sequence[str], top: int) -> list[Prediction]:
    """The best classes, best first; of equal ones the lower index first.

    Args:
        scores: [outputs] of one image. One output means two classes: the second where it is high.
        kind: what the scores are.
        labels: one per class.

    Raises:
        DataError: labels do not fit the number of classes.
    """
    values = np.asarray(scores, np.float64)
    chances = probabilities(values[None], kind)[0]
    if len(values) == 1:
        values = np.array([-values[0] if kind == "logits" else 1 - values[0], values[0]])
    if len(labels) != len(values):
        raise DataError(f"{len(values)} labels, one per class", f"{len(labels)}", "give a labels file with one line per class")
    order = [int(index) for index in np.argsort(-chances, kind="stable")[:top]]
    apart = answer_apart(kind, len(scores))
    return [
        Prediction(
            index=index,
            label=labels[index],
            score=float(values[index]),
            probability=float(chances[index]),
            predicted=bool(values[index] >= THRESHOLD) if apart else None,
        )
        for index in order
    ]
