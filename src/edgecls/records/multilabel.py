"""MultiLabelAccuracy: how an artifact fares on images with any number of labels, whose scores each answer for a class of their own."""

from __future__ import annotations

from pydantic import Field

from edgecls.records.record import Record

THRESHOLD = 0.5  # a class is predicted from this score on


class LabelAccuracy(Record):
    """How one class fares.

    Attributes:
        index: of the class, as in the scores.
        support: images that have it.
        average_precision: 0..1; None where no image has it.
        precision, recall, f1: 0..1 at `threshold`; 0 where nothing was predicted, or nothing was there.
        best_threshold: the score from which on predicting gives the highest F1 on the even-numbered images, counted from 0.
        best_f1: F1 at it on the odd-numbered images, which did not choose it; None, as `best_threshold`, where one half has no such image.
        average_precision_delta, f1_delta: against the reference that `Measurement.flips` names; negative is worse.
    """

    index: int
    label: str
    support: int
    average_precision: float | None = None
    threshold: float = THRESHOLD
    precision: float
    recall: float
    f1: float
    best_threshold: float | None = None
    best_f1: float | None = None
    average_precision_delta: float | None = None
    f1_delta: float | None = None


class MultiLabelAccuracy(Record):
    """Shares 0..1 over `images` with multi-hot labels.

    Attributes:
        mean_average_precision: mean over the classes that some image has.
        macro_f1: mean over the same classes, micro_f1: over all decisions, both at the threshold.
        exact_match: share of images whose predicted classes are exactly theirs.
    """

    images: int
    mean_average_precision: float
    macro_f1: float
    micro_f1: float
    exact_match: float
    classes: list[LabelAccuracy] = Field(default_factory=list)


class LabelSetFlip(Record):
    """One image whose predicted classes are not the reference's; classes are indices.

    Attributes:
        index: of the image in its set.
        image: its file's name, where it has one.
        labels: None where they are not known.
        appeared, vanished: predicted by this artifact alone, and by the reference alone.
    """

    index: int
    image: str = ""
    labels: list[int] | None = None
    appeared: list[int]
    vanished: list[int]
