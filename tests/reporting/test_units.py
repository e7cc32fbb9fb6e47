"""Numbers as text."""

from __future__ import annotations

import pytest

from edgecls.reporting.units import format_bytes, format_ms, format_parts, format_share


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (0, ""), (812, "812 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 20, "1.00 MiB"), (3_994_640, "3.81 MiB")],
)
def test_sizes_are_binary(count: int | None, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0.0421, "0.042"), (3.944, "3.94"), (18.34, "18.3"), (1520.4, "1520")])
def test_milliseconds_keep_three_digits(value: float | None, text: str) -> None:
    assert format_ms(value) == text


def test_shares() -> None:
    assert format_share(0.8992) == "89.92%"
    assert format_share(None) == ""


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, ""),
        ({"int8": 0}, ""),
        ({"float32": 7}, "float32"),
        ({"float32": 1, "int8": 3}, "int8 75%, float32 25%"),
        ({"int32": 1, "int8": 999}, "int8 >99%, int32 <1%"),
    ],
)
def test_parts_of_a_whole_come_largest_first_and_small_ones_are_not_hidden(counts: dict[str, int], text: str) -> None:
    assert format_parts(counts) == text
