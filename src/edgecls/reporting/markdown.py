"""A Grid as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgecls.records.artifact import Manifest
from edgecls.records.report import Report
from edgecls.reporting.conversion import conversion_grid
from edgecls.reporting.grid import Grid
from edgecls.reporting.measurements import report_grid
from edgecls.reporting.runs import Run


def report_markdown(report: Report) -> str:
    """The measurements of a run as a Markdown table with its notes below."""
    return to_markdown(report_grid(report))


def runs_markdown(runs: Sequence[Run]) -> str:
    """A table for each environment below its name."""
    return "\n".join(f"## {escape(run.name)}\n\n{report_markdown(run.report)}" for run in runs)


def conversion_markdown(manifest: Manifest) -> str:
    """The artifacts of a manifest as a Markdown table with its notes below."""
    return to_markdown(conversion_grid(manifest))


def to_markdown(grid: Grid) -> str:
    """Render a grid; it ends with a line break."""
    lines = [
        _line([column.title for column in grid.columns]),
        _line(["---:" if column.numeric else "---" for column in grid.columns]),
        *(_line([escape(cell) for cell in row]) for row in grid.rows),
    ]
    notes = [f"- {escape(note)}" for note in grid.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text that stays text: on one line, its marks without meaning."""
    flat = " ".join(text.split())
    for character in "\\|<*_`":
        flat = flat.replace(character, "\\" + character)
    return flat
