"""Doubt: accuracy that no sound classifier has on its own images, which a wrong preprocessing explains best."""

from __future__ import annotations

from collections.abc import Iterable

from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement

_ABOVE_CHANCE = 0.1  # of the way from guessing to being always right


def doubt_preprocessing(measurements: Iterable[Measurement], spec: ImageSpec | None, classes: int) -> str | None:
    """What to try where no artifact is clearly better than guessing and nothing but an assumption says how pixels enter.

    Args:
        spec: the image spec that all were measured with; None where they had several.
        classes: of the model.
    """
    found = [row.accuracy.top1 for row in measurements if row.accuracy]
    if not found or classes < 2 or spec is None or spec.provenance != "assumed":
        return None
    if not is_near_chance(max(found), classes):
        return None
    return (
        f"no artifact is clearly better than guessing among {classes} classes, and the preprocessing was assumed: "
        "--preprocess auto tries the common ones on these images"
    )


def is_near_chance(top1: float, classes: int) -> bool:
    """Whether a share 0..1 of right answers among so many classes is not clearly better than guessing."""
    chance = 1 / classes
    return top1 <= chance + _ABOVE_CHANCE * (1 - chance)
