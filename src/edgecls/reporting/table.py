"""A Grid as a rich table, and the tables that every conversion and measurement ends with."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgecls.records.artifact import Manifest
from edgecls.records.report import Report
from edgecls.reporting.conversion import conversion_grid
from edgecls.reporting.grid import Grid
from edgecls.reporting.measurements import report_grid
from edgecls.reporting.summary import conversion_summary, demo_grid, report_summary

_GAP = 3  # blanks between two columns
_LEAST = 22  # characters of a name in a line


def report_table(report: Report, width: int | None = None, *, verbose: bool = True) -> Group:
    """The measurements of a run, in `width` columns of text (None: as wide as it needs); without `verbose` what decides alone."""
    return to_table(report_grid(report) if verbose else report_summary(report), width)


def demo_table(report: Report, width: int | None = None) -> Group:
    """What the demo measured, on a screen, in `width` columns of text (None: as wide as it needs)."""
    return to_table(demo_grid(report), width)


def conversion_table(manifest: Manifest, width: int | None = None, *, verbose: bool = True) -> Group:
    """The artifacts of a manifest, in `width` columns of text (None: as wide as it needs); without `verbose` what decides alone."""
    return to_table(conversion_grid(manifest) if verbose else conversion_summary(manifest), width)


def to_table(grid: Grid, width: int | None = None) -> Group:
    """Render a grid. Where `width` is too narrow, the least important columns are left out, and a note below names them.

    Where that does not suffice, the names in the first column take several lines, if the others fit then; else every column is shortened.
    """
    left_out = _too_many(grid, width)
    shown = grid.without(left_out)
    notes = list(grid.notes)
    if left_out:
        notes.append(f"no room here for: {', '.join(sorted(left_out))} (widen the window, or read the JSON)")
    table = Table(box=box.SIMPLE_HEAD)
    needs = list(_needs(shown).values())
    fold = width is not None and sum(needs) > width and min(needs[0], _GAP + _LEAST) + sum(needs[1:]) <= width
    for index, column in enumerate(shown.columns):
        how: dict[str, Any] = {"overflow": "fold"} if fold and not index else {"no_wrap": True, "overflow": "ellipsis"}
        table.add_column(column.title, justify="right" if column.numeric else "left", **how)
    for row, good in zip(shown.rows, shown.good, strict=True):
        table.add_row(*(Text(cell) for cell in row), style=None if good else "red")
    return Group(table, *(Text(note) for note in notes))


def _needs(grid: Grid) -> dict[str, int]:
    """Characters of each column with the gap behind it, by its title."""
    return {
        column.title: _GAP + max([cell_len(column.title), *(cell_len(row[index]) for row in grid.rows)])
        for index, column in enumerate(grid.columns)
    }


def _too_many(grid: Grid, width: int | None) -> set[str]:
    """Titles of the columns to leave out so that the rest fits."""
    if width is None:
        return set()
    needs = _needs(grid)
    left_out: set[str] = set()
    for column in sorted(grid.columns, key=lambda column: -column.rank):
        if sum(needs.values()) <= width or not column.rank:
            break
        del needs[column.title]
        left_out.add(column.title)
    return left_out
