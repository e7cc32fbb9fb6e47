"""Evaluation: how one classifier fares on labelled images, class by class, and where it errs worst."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from edgecls.records.accuracy import Accuracy
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.records.interval import Interval
from edgecls.records.multilabel import MultiLabelAccuracy
from edgecls.records.record import FileRecord, Record


class RecallThreshold(Record):
    """The highest probability of one class from which on answering with it finds the wanted share of its images.

    Attributes:
        index: of the class, as in the scores.
        wanted: share 0..1 of the class's images to find.
        threshold: the class is answered where its probability is at least this.
        recall: share of its images found so; at least `wanted`.
        recall_interval: Wilson.
        precision: share of the images answered so that are of the class.
        specificity: share of the other images that are not answered so.
    """

    index: int
    label: str
    wanted: float
    threshold: float
    recall: float
    recall_interval: Interval
    precision: float
    specificity: float | None = None


class Mistake(Record):
    """One image that was answered wrongly; classes are indices.

    Attributes:
        index: of the image in its set.
        image: its file's name, where it has one.
        truth: the classes it has.
        answer: the classes it was given.
        confidence: how sure the wrong answer was, 0..1: the probability of the class answered; where classes do not exclude each other,
            by how much the score of the class decided worst is off. None where scores are no probabilities.
    """

    index: int
    image: str = ""
    truth: list[int]
    answer: list[int]
    confidence: float | None = None


class Evaluation(FileRecord):
    """What became of labelled images. Either `accuracy` or `multilabel` is there.

    Attributes:
        model: its file, as it was named.
        data: where the images come from, as it was named.
        image_spec: how pictures became model inputs; None where that is not known.
        labels: of the classes.
        images: how many were answered.
        accuracy: where each image has one label: top-1 and top-5, the classes, confusion and calibration.
        multilabel: where images have any number of labels.
        balanced_accuracy: mean recall 0..1 of the classes that have images.
        positive: the class that `roc_auc` and, of two classes, `thresholds` are of; None where none was named of more than two.
        roc_auc: chance 0..1 that an image of that class has a higher probability of it than an image of another (ties count half).
        thresholds: of `positive`, or of each class that some image has where classes do not exclude each other.
        mistakes: the worst, most confident first; `mistakes_total` counts all.
        notes: what a person should know, one sentence each.
    """

    kind: ClassVar[str] = "an evaluation"
    remedy: ClassVar[str] = "write it again with `edgecls evaluate --json`"

    schema_version: int = 1
    model: str = ""
    data: str = ""
    image_spec: ImageSpec | None = None
    output_kind: OutputKind
    labels: list[str]
    images: int
    accuracy: Accuracy | None = None
    multilabel: MultiLabelAccuracy | None = None
    balanced_accuracy: float | None = None
    positive: int | None = None
    roc_auc: float | None = None
    thresholds: list[RecallThreshold] = Field(default_factory=list)
    mistakes: list[Mistake] = Field(default_factory=list)
    mistakes_total: int = 0
    notes: list[str] = Field(default_factory=list)
