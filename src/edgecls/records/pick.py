"""Pick: which artifact of one format to ship, and why."""

from __future__ import annotations

from edgecls.records.record import Record


class Pick(Record):
    """Which artifact of one format to ship.

    Attributes:
        target: the format, as `Measurement.target`.
        artifact: its name; None where none can be recommended.
        within_points: percentage points of accuracy that it might lose; None: its accuracy was not to be distinguishable from the float
            artifact's at 95 %.
        sentence: what to ship and why, or why none.
    """

    target: str
    artifact: str | None = None
    within_points: float | None = None
    sentence: str
