"""Loss: what an artifact loses of the float artifact's accuracy, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgecls.evaluation.drop import most_paired_drop, paired_drop, unpaired_drop
from edgecls.records.measurement import Measurement

CONFIDENCE = 0.975  # one-sided: 95 % two-sided, so that a drop is shown exactly where McNemar's p is below 0.05
Measure = Literal["top-1", "mAP", "agreement"]


@dataclass(frozen=True)
class Loss:
    """What an artifact loses against the float one.

    Attributes:
        of: what is lost: top-1, mean average precision, or agreement with the float artifact where images have no labels.
        points: percentage points lost; negative where it gained.
        worst: the most points it may have lost, at 95 %; None where no interval is known of this measure.
        shown: whether it errs more often than the float one beyond chance, at 95 %; None where there are no labels to tell.
    """

    of: Measure
    points: float
    worst: float | None = None
    shown: bool | None = None


def float_artifact(rows: Sequence[Measurement]) -> str | None:
    """Name of the row that all others are compared with: the one flips were counted against, else the first float32 one, of those that
    were asked about labelled images if there are any."""
    names = {row.artifact for row in rows}
    counted = [row.flips.reference for row in rows if row.flips and row.flips.reference in names]
    float32 = [row for row in rows if row.scheme == "float32"]
    asked = [row.artifact for row in float32 if row.accuracy or row.multilabel]
    return next(iter([*counted, *asked, *(row.artifact for row in float32)]), None)


def loss_of(row: Measurement, reference: Measurement) -> Loss | None:
    """What a row loses against the float one's; None where nothing is known that both were asked."""
    if row.artifact == reference.artifact:
        return Loss(_measure(row), 0.0, shown=False if row.accuracy or row.multilabel else None)
    changed = _changed_sides(row, reference)
    if row.multilabel and reference.multilabel:
        drop = reference.multilabel.mean_average_precision - row.multilabel.mean_average_precision
        return Loss("mAP", 100 * drop, shown=paired_drop(*changed, CONFIDENCE) > 0 if changed else None)
    if row.accuracy and reference.accuracy:
        drop = reference.accuracy.top1 - row.accuracy.top1
        before, after = (reference.accuracy.top1, reference.accuracy.images), (row.accuracy.top1, row.accuracy.images)
        least = paired_drop(*changed, CONFIDENCE) if changed else unpaired_drop(*before, *after, CONFIDENCE)
        most = most_paired_drop(*changed, CONFIDENCE) if changed else -unpaired_drop(*after, *before, CONFIDENCE)
        return Loss("top-1", 100 * drop, worst=100 * most, shown=least > 0)
    if row.flips and row.flips.reference == reference.artifact and row.flips.images:
        return Loss("agreement", 100 * row.flips.count / row.flips.images)
    return None


def _measure(row: Measurement) -> Measure:
    return "top-1" if row.accuracy else "mAP" if row.multilabel else "agreement"


def _changed_sides(row: Measurement, reference: Measurement) -> tuple[int, int, int] | None:
    """Images lost and gained, of so many; None where they are not known."""
    flips = row.flips
    if flips is None or flips.reference != reference.artifact or flips.lost is None or flips.gained is None:
        return None
    return flips.lost, flips.gained, flips.images
