"""What `edgecls inspect --delegates` shows: for each accelerator the operations that it would not take."""

from __future__ import annotations

from collections.abc import Sequence

from edgecls.formats.delegates import Delegate, Delegates, LeftOut
from edgecls.reporting.grid import Column, Grid, make_grid

_Row = tuple[Delegate, list[LeftOut]]  # operations of one kind that are left out for one reason
_COLUMNS = [
    Column[_Row]("accelerator", lambda row: row[0].name),
    Column[_Row]("operation", lambda row: row[1][0].operation),
    Column[_Row]("times", lambda row: str(len(row[1])), numeric=True),
    Column[_Row]("why not", lambda row: row[1][0].reason),
    Column[_Row]("first", lambda row: row[1][0].name, rank=1),
]


def delegates_grid(found: Delegates) -> Grid:
    """One row for each accelerator, operation and reason; below, how much each would take, and where that is written."""
    rows = [(delegate, group) for delegate in found.delegates for group in _grouped(delegate.left_out)]
    notes = [
        f"{delegate.name}: {delegate.operations - len(delegate.left_out)} of {delegate.operations} operations, by {delegate.source} "
        f"({delegate.certainty})"
        for delegate in found.delegates
    ]
    return make_grid(_COLUMNS, rows, lambda _: True, notes)


def _grouped(left_out: Sequence[LeftOut]) -> list[list[LeftOut]]:
    groups: dict[tuple[str, str], list[LeftOut]] = {}
    for item in left_out:
        groups.setdefault((item.operation, item.reason), []).append(item)
    return list(groups.values())
