"""Interval: how far a measured figure may lie from the true one."""

from __future__ import annotations

from edgecls.records.record import Record


class Interval(Record):
    """A confidence interval, in the unit of what it belongs to."""

    low: float
    high: float
    confidence: float = 0.95
