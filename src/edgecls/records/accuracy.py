"""Accuracy and Flips: how often an artifact is right, and where it differs from its reference."""

from __future__ import annotations

from pydantic import Field

from edgecls.records.interval import Interval
from edgecls.records.multilabel import LabelSetFlip
from edgecls.records.record import Record


class ClassAccuracy(Record):
    """How one class fares. The first winner counts, as an application takes it.

    Attributes:
        index: of the class, as in the scores.
        support: images of this class.
        recall, precision, f1: 0..1; precision is 0 where the class was never answered.
        recall_interval: Wilson.
        recall_delta, f1_delta: against the reference that `Measurement.flips` names; negative is worse.
    """

    index: int
    label: str
    support: int
    recall: float
    precision: float
    f1: float
    recall_interval: Interval | None = None
    recall_delta: float | None = None
    f1_delta: float | None = None


class Confusion(Record):
    """The confusion matrix, without its zeros.

    Attributes:
        classes: number of rows and columns.
        entries: (label, first winner, images), ascending.
    """

    classes: int
    entries: list[tuple[int, int, int]]

    def dense(self) -> list[list[int]]:
        """Images by [label][winner]."""
        matrix = [[0] * self.classes for _ in range(self.classes)]
        for label, winner, images in self.entries:
            matrix[label][winner] = images
        return matrix


class CalibrationBin(Record):
    """The images whose highest score lies in one range: mean of that score, and share of hits among them."""

    images: int
    confidence: float
    accuracy: float


class Calibration(Record):
    """How far the highest score can be read as a probability.

    Attributes:
        ece: expected calibration error 0..1 (Guo et al. 2017, arXiv 1706.04599): mean over the images of |accuracy - confidence| of
            their bin.
        bins: of equal width over 0..1, ascending.
    """

    ece: float
    bins: list[CalibrationBin]


class Accuracy(Record):
    """Shares 0..1 over `images` labelled images.

    Attributes:
        top1: a tie counts as a win of one of the tied classes: each of k tied winners counts 1/k.
        top5: likewise; None where there are five classes or fewer.
        top1_interval, top5_interval: Wilson score intervals.
        tied_images: images with more than one winner, as int8 scores often have.
        top1_lowest, top1_highest: top1 if every tie were lost, and if every tie with the right class among its winners were won.
        calibration: None where scores are no probabilities.
    """

    images: int
    top1: float
    top5: float | None = None
    top1_interval: Interval | None = None
    top5_interval: Interval | None = None
    tied_images: int | None = None
    top1_lowest: float | None = None
    top1_highest: float | None = None
    classes: list[ClassAccuracy] = Field(default_factory=list)
    confusion: Confusion | None = None
    calibration: Calibration | None = None


class Flip(Record):
    """One image on which the first winner is not the reference's; classes are indices.

    Attributes:
        index: of the image in its set.
        image: its file's name, where it has one.
        label: None where it is not known.
    """

    index: int
    image: str = ""
    label: int | None = None
    reference_winner: int
    winner: int


class Flips(Record):
    """How often the winner differs from the reference's on the same images, or where several sigmoids answer, the set of predicted classes.

    Attributes:
        reference: name of an artifact, `source` for the source model, or `stand-in` for what computes where an artifact's engine is not.
        count: a tie counts by the share of winners the two do not have in common; a set counts as soon as one class differs.
        lost, gained: labelled images that only the reference, or only this artifact has right (first winner, or the whole set).
        mcnemar_p: exact p-value of McNemar's paired test that both err equally often; None without labels.
        images_listed: the images whose first winner differs: lost ones first, at most 1000 of all.
        sets_listed: likewise those whose set of predicted classes differs.
    """

    reference: str
    images: int
    count: int
    lost: int | None = None
    gained: int | None = None
    mcnemar_p: float | None = None
    images_listed: list[Flip] = Field(default_factory=list)
    sets_listed: list[LabelSetFlip] = Field(default_factory=list)
