"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from edgecls.records.counted import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "image", "0 images"), (1, "image", "1 image"), (2, "calibration image", "2 calibration images")],
)
def test_one_is_singular(number: int, noun: str, text: str):
    assert counted(number, noun) == text


def test_nouns_in_s_and_thousands():
    assert counted(2, "class") == "2 classes"
    assert counted(12000, "image", ",") == "12,000 images"
