"""Diagnosis: where a quantized artifact loses against its float self, layer by layer, and what can be done about it."""

from __future__ import annotations

from typing import Literal

from edgecls.records.record import Record

WEAK_DB = 20.0  # a layer below adds error of over 1 % of its output's energy
Cause = Literal["weights", "range"]
Decision = Literal["winner", "set of classes"]
AdviceKind = Literal[
    "clipped_sums", "more_calibration", "other_calibration", "estimator", "keep_float", "mixed_precision", "qat", "nothing"
]


class TensorRange(Record):
    """What int8 codes of a tensor cover, beside the values it takes.

    Attributes:
        low, high: the real values of the lowest and the highest code.
        seen_low, seen_high: extremes on the images of the diagnosis.
        clipped: share of the values outside `low`..`high` by more than half a step, 0..1.
        used: share of `low`..`high` that the middle 99.9 % of the values take, 0..1; little where outliers stretch the range.
    """

    low: float
    high: float
    seen_low: float
    seen_high: float
    clipped: float
    used: float


class WeightRange(Record):
    """How a layer's float weights spread.

    Attributes:
        channel_spread: largest absolute weight of the widest channel over that of the median channel: such a channel stretches the range
            of the layer's output.
        outlier: largest absolute weight of a channel over the root mean square of that channel, in the worst channel: so many steps of
            127 does one weight take from all others.
    """

    channel_spread: float
    outlier: float


class LayerDiagnosis(Record):
    """One operation and the tensor it makes.

    Signal-to-noise ratios are in decibels, the energy of the float tensor over that of the error, over all images; of all values together
    or of the median channel, whichever is worse. None where there is no error but float rounding.

    Attributes:
        name: of the tensor, as `edgecls convert --keep-float` takes it.
        snr_db: of all error that has accumulated at this tensor.
        own_snr_db: of the error this layer adds: its output against what its float operation makes of the same, quantized, inputs.
        cause: what most of the own error comes from: `weights` (and biases and arithmetic), or the `range` of the output, whose rounding
            and clipping no float arithmetic of this layer alone would cure. None where there is no error.
        computes_float: whether the layer computes in float in the artifact.
        readers: names of the layers that read the tensor.
        calibration_spread: how far apart the ranges lie that the middle 99.9 % of the values take on the two halves of the calibration
            images, relative to the wider one; None where those images are not at hand.
        beyond_calibration: share of the values outside the extremes of the calibration images, 0..1.
    """

    name: str
    operation: str
    snr_db: float | None
    own_snr_db: float | None
    cause: Cause | None
    computes_float: bool
    readers: list[str]
    range: TensorRange | None = None
    weights: WeightRange | None = None
    calibration_spread: float | None = None
    beyond_calibration: float | None = None

    @property
    def is_weak(self) -> bool:
        """Whether it adds so much error that it is worth keeping float."""
        return self.own_snr_db is not None and self.own_snr_db < WEAK_DB


class Advice(Record):
    """Something to do, and the command that does it, where there is one."""

    kind: AdviceKind
    text: str
    command: str | None = None


class Diagnosis(Record):
    """`edgecls diagnose --json`.

    Attributes:
        artifact, reference: names in the manifest: the quantized one and its float self.
        images, data: how many images of which place.
        calibration_images: how many of the calibration images were looked at; 0 where they are not at hand.
        snr_db: of the scores; None where there is no error.
        agreement: share of images with the same decision, 0..1.
        decision: what is decided of an image: one class, or of several that do not exclude each other a set.
        layers: the one that adds most error first.
    """

    schema_version: int = 1
    artifact: str
    reference: str
    images: int
    data: str
    calibration_images: int
    snr_db: float | None
    agreement: float
    decision: Decision = "winner"
    layers: list[LayerDiagnosis]
    advice: list[Advice]
