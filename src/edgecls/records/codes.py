"""Codes: how integers stand for real numbers at the border of a file."""

from __future__ import annotations

from edgecls.records.record import Record


class Codes(Record):
    """real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
