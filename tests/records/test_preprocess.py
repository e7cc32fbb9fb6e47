"""The text of a preprocessing, for commands that convert again, gives that preprocessing."""

from __future__ import annotations

import pytest

from edgecls.records.image_spec import PREPROCESS_CHOICES, ImageSpec


@pytest.mark.parametrize(
    "text", [*PREPROCESS_CHOICES, "scale=1/255,mean=0.485 0.456 0.406,std=0.229 0.224 0.225", "mean=3,std=0.1 1e-7 30"]
)
def test_a_preprocessing_is_said_as_it_may_be_given(text: str):
    spec = ImageSpec(height=8, width=8, channels=3).with_preprocess(text)
    assert spec.preprocess == text or text not in PREPROCESS_CHOICES
    again = spec.with_preprocess(spec.preprocess)
    assert (again.mean, again.std, again.color_order) == (spec.mean, spec.std, spec.color_order)


def test_grey_images_have_the_names_too():
    assert ImageSpec(height=8, width=8, channels=1, color_order="GRAY").with_preprocess("0..1").preprocess == "0..1"


def test_what_no_text_says_is_said_by_none():
    with pytest.raises(ValueError, match="BGR"):
        _ = ImageSpec(height=8, width=8, channels=3, color_order="BGR", mean=(1.0,)).preprocess
