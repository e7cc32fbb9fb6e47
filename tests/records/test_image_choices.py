"""Fit and filter of an image spec: what `--fit` and `--filter` accept, what older records mean, what people are told."""

from __future__ import annotations

from typing import Any

import pytest

from edgecls.errors import InputError
from edgecls.records.image_spec import ImageSpec

SPEC = ImageSpec(height=4, width=4, channels=3)


def test_a_record_without_them_means_squeezed_and_antialiased_assumed():
    old = {"height": 4, "width": 4, "channels": 3, "mean": [0.0], "std": [1.0], "provenance": "declared", "note": ""}
    spec = ImageSpec.model_validate(old)
    assert (spec.fit, spec.crop_share, spec.pad_color, spec.filter) == ("squeeze", None, (0, 0, 0), "bilinear-antialiased")
    assert spec.fit_provenance == spec.filter_provenance == "assumed"


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        ("squeeze", {"fit": "squeeze"}),
        ("crop", {"fit": "crop", "crop_share": None}),
        ("crop=0.875", {"fit": "crop", "crop_share": 0.875}),
        ("crop=1", {"fit": "crop", "crop_share": 1.0}),
        ("pad", {"fit": "pad", "pad_color": (0, 0, 0)}),
        ("pad=114,0,255", {"fit": "pad", "pad_color": (114, 0, 255)}),
    ],
)
def test_a_fit_is_read_and_given_back_as_it_is_written(choice: str, fields: dict[str, Any]):
    spec = SPEC.with_fit(choice)
    assert {name: getattr(spec, name) for name in fields} == fields
    assert spec.fit_provenance == "declared"
    assert SPEC.with_fit(spec.fit_choice) == spec
    assert ImageSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "choice",
    [
        "",
        "crop=",
        "crop=0",
        "crop=2",
        "crop=nan",
        "crop=-1",
        "crop=x",
        "squeeze=1",
        "pad=1,2",
        "pad=1,2,256",
        "pad=1,2,3,4",
        "pad=a",
        "stretch",
    ],
)
def test_another_fit_is_refused_with_an_example_that_works(choice: str):
    with pytest.raises(InputError, match="crop=SHARE") as caught:
        SPEC.with_fit(choice)
    assert SPEC.with_fit("crop=0.875") and "--fit crop=0.875" in caught.value.remedy


def test_another_filter_is_refused():
    with pytest.raises(InputError, match="nearest, bilinear, bilinear-antialiased, bicubic, lanczos"):
        SPEC.with_filter("foo")


def test_a_later_fit_leaves_nothing_of_the_former():
    assert SPEC.with_fit("crop=0.5").with_fit("pad") == SPEC.with_fit("pad")
    assert SPEC.with_fit("pad=1,2,3").with_fit("crop") == SPEC.with_fit("crop")


def test_people_are_told_what_is_assumed():
    assert "fit squeeze and filter bilinear-antialiased" in SPEC.resizing_note
    assert SPEC.with_fit("crop").resizing_note.count("--fit") == 0
    assert "--filter" in SPEC.with_fit("crop").resizing_note
    assert SPEC.with_choices(fit="crop", filter="nearest").resizing_note == ""
    told = SPEC.model_copy(update={"note": "Assumed 0..1 and fit squeeze, as its own code does."})
    assert told.resizing_note.startswith("Assumed filter bilinear-antialiased: ")


def test_padding_of_a_grey_model_is_grey():
    grey = ImageSpec(height=4, width=4, channels=1, color_order="GRAY").with_fit("pad=255,0,0")
    assert grey.pad_values == (76,)  # as Pillow makes it of pure red
    assert SPEC.with_fit("pad=255,0,0").pad_values == (255, 0, 0)
