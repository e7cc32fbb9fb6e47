"""What a classifier says about one image: the best classes with bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.bar import Bar
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgecls.data.multi_hot import answer_apart
from edgecls.errors import DataError
from edgecls.records.artifact import OutputKind
from edgecls.records.multilabel import THRESHOLD
from edgecls.records.record import Record

_BAR_WIDTH = 30


class Prediction(Record):
    """One class of an answer.

    Attributes:
        index: place of the class, from 0.
        label: its name.
        score: what the model put out for it; of a classifier with one output, that output or its complement.
        probability: 0..1; logits are turned into probabilities, scores that are probabilities stay.
        predicted: of classes that do not exclude each other, whether this one is among those predicted; None of others.
    """

    index: int
    label: str
    score: float
    probability: float
    predicted: bool | None = None


class Answer(Record):
    """The best classes of one image, best first."""

    image: str
    predictions: list[Prediction]


class Answers(Record):
    """What one artifact says about some images."""

    artifact: str
    answers: list[Answer]


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
    probabilities = _probabilities(values, kind)
    if len(values) == 1:
        values = np.array([-values[0] if kind == "logits" else 1 - values[0], values[0]])
    if len(labels) != len(values):
        raise DataError(f"{len(values)} labels, one per class", f"{len(labels)}", "give a labels file with one line per class")
    order = [int(index) for index in np.argsort(-probabilities, kind="stable")[:top]]
    apart = answer_apart(kind, len(scores))
    return [
        Prediction(
            index=index,
            label=labels[index],
            score=float(values[index]),
            probability=float(probabilities[index]),
            predicted=bool(values[index] >= THRESHOLD) if apart else None,
        )
        for index in order
    ]


def prediction_bars(title: str, predictions: Sequence[Prediction]) -> Group:
    """The answer for one image."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column(width=_BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    for prediction in predictions:
        bar = Bar(size=1, begin=0, end=min(1.0, max(0.0, prediction.probability)), width=_BAR_WIDTH)
        style = {True: "bold", False: "dim", None: ""}[prediction.predicted]
        cells = [Text(prediction.label, style), bar, f"{prediction.probability:.1%}"]
        table.add_row(*cells, *(["predicted"] if prediction.predicted else []))
    return Group(Text(title, style="bold"), table)


def _probabilities(values: np.ndarray, kind: OutputKind) -> np.ndarray:
    if len(values) == 1:
        high = 1 / (1 + np.exp(-values[0])) if kind == "logits" else values[0]
        return np.array([1 - high, high])
    if kind != "logits":
        return values
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()
