"""What reports show of artifacts whose classes do not exclude each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecls.records.measurement import Measurement
from edgecls.records.multilabel import THRESHOLD, LabelAccuracy, MultiLabelAccuracy
from edgecls.records.report import Report
from edgecls.reporting.grid import ABSENT, Column
from edgecls.reporting.units import format_share

_FIGURES: dict[str, tuple[Callable[[MultiLabelAccuracy], float], int]] = {  # title -> figure, and rank of its column
    "mAP": (lambda found: found.mean_average_precision, 1),
    "macro F1": (lambda found: found.macro_f1, 5),
    "micro F1": (lambda found: found.micro_f1, 6),
}


_CELLS: dict[str, Callable[[LabelAccuracy], tuple[float | None, str]]] = {  # title -> what a column is sorted by, and its text
    "images": lambda row: (row.support, f"{row.support:,}"),
    "AP": lambda row: (row.average_precision, format_share(row.average_precision)),
    "change": lambda row: (row.average_precision_delta, f"{(row.average_precision_delta or 0) * 100:+.2f}"),
    "threshold": lambda row: (row.threshold, f"{row.threshold:.2f}"),
    "precision": lambda row: (row.precision, format_share(row.precision)),
    "recall": lambda row: (row.recall, format_share(row.recall)),
    "F1": lambda row: (row.f1, format_share(row.f1)),
    "best threshold": lambda row: (row.best_threshold, f"{row.best_threshold or 0:.2f}"),
    "F1 at it": lambda row: (row.best_f1, format_share(row.best_f1)),
}


@dataclass(frozen=True)
class LabelTable:
    """The classes of an artifact, as they stand in its scores: name, and (sort key, text) of each column."""

    artifact: str
    reference: str
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    titles: Sequence[str] = tuple(_CELLS)


def multilabel_columns() -> list[Column[Measurement]]:
    """Mean average precision and F1; empty, so that they are left out, where images have one label each."""

    def cell(figure: Callable[[MultiLabelAccuracy], float]) -> Callable[[Measurement], str]:
        return lambda row: format_share(figure(row.multilabel)) if row.multilabel else ""

    return [Column[Measurement](title, cell(figure), numeric=True, rank=rank) for title, (figure, rank) in _FIGURES.items()]


def multilabel_notes(report: Report) -> list[str]:
    """What the figures are taken over."""
    found = next((row.multilabel for row in report.measurements if row.multilabel), None)
    if found is None:
        return []
    there = sum(row.support > 0 for row in found.classes)
    return [
        f"mAP and macro F1: means over the {there} of {len(found.classes)} classes that some image has; a class is predicted from a score "
        f"of {THRESHOLD:g} on"
    ]


def label_tables(rows: Sequence[Measurement]) -> list[LabelTable]:
    """The table of classes of each artifact that has one."""
    return [
        LabelTable(
            row.artifact,
            row.flips.reference if row.flips else "",
            [(found.label, _cells(found)) for found in row.multilabel.classes],
        )
        for row in rows
        if row.multilabel and row.multilabel.classes
    ]


def _cells(found: LabelAccuracy) -> list[tuple[str, str]]:
    values = [read(found) for read in _CELLS.values()]
    return [("", ABSENT) if key is None else (f"{key:g}", text) for key, text in values]
