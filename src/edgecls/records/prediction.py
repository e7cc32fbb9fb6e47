"""Prediction, Answer, Answers: what an artifact says about images."""

from __future__ import annotations

from edgecls.records.record import Record


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
