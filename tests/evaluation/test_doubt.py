"""Accuracy of mere guessing is said to be one, where only an assumption stands behind the preprocessing."""

from __future__ import annotations

import pytest

from edgecls.evaluation.doubt import doubt_preprocessing
from edgecls.records.accuracy import Accuracy
from edgecls.records.image_spec import ImageSpec, Provenance
from edgecls.records.measurement import Measurement


def row(top1: float | None) -> Measurement:
    accuracy = None if top1 is None else Accuracy(images=500, top1=top1)
    return Measurement(artifact="base-tflite-float32", target="tflite", scheme="float32", accuracy=accuracy)


@pytest.mark.parametrize(
    ("found", "classes", "provenance", "doubted"),
    [
        ([0.1, 0.12], 10, "assumed", True),
        ([0.1, 0.76], 10, "assumed", False),  # one that is right shows that the pixels are
        ([0.1], 10, "declared", False),
        ([0.1], 10, "in-model", False),
        ([0.53], 2, "assumed", True),
        ([0.7], 2, "assumed", False),
        ([None], 10, "assumed", False),
        ([], 10, "assumed", False),
    ],
)
def test_only_guessing_is_doubted(found: list[float | None], classes: int, provenance: Provenance, doubted: bool) -> None:
    spec = ImageSpec(height=32, width=32, channels=3, provenance=provenance)
    note = doubt_preprocessing([row(top1) for top1 in found], spec, classes)
    assert (note is not None) == doubted
    assert note is None or "--preprocess auto" in note


def test_files_of_several_specs_are_left_alone() -> None:
    assert doubt_preprocessing([row(0.1)], None, 10) is None
