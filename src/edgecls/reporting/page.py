"""The report as one HTML page that needs nothing else: no network, no fonts, no images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgecls.records.accuracy import ClassAccuracy
from edgecls.records.counted import counted
from edgecls.records.measurement import Measurement
from edgecls.records.profile import OperationTime, Profile
from edgecls.records.report import Environment
from edgecls.reporting.charts import Course, Scatter, Strips, course, scatter, strips
from edgecls.reporting.confusion import Matrix, matrix_of
from edgecls.reporting.grid import Grid
from edgecls.reporting.label_sets import LabelTable, label_tables
from edgecls.reporting.measurements import report_grid
from edgecls.reporting.runs import Run
from edgecls.reporting.templating import render

_CLASSES_LISTED = 10
_OPERATIONS_LISTED = 12
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")
_UNITS = {"KiB": 1024.0, "MiB": 1024.0**2}


@dataclass(frozen=True)
class ClassChanges:
    """The classes of an artifact whose recall changed most; `width` of a bar is 0..50 percent."""

    artifact: str
    reference: str
    rows: Sequence[tuple[ClassAccuracy, float]]
    changed: int
    total: int


@dataclass(frozen=True)
class Operations:
    """Where an inference of an artifact spends its time, the slowest operations first; `width` of a bar is 0..100 percent."""

    artifact: str
    profile: Profile
    rows: Sequence[tuple[OperationTime, float]]


@dataclass(frozen=True)
class Section:
    """What the page shows of one run."""

    name: str
    grid: Grid
    keys: Sequence[Sequence[float | str]]
    scatters: Sequence[Scatter]
    strips: Strips | None
    courses: Sequence[Course]
    operations: Sequence[Operations]
    classes: Sequence[ClassChanges]
    label_tables: Sequence[LabelTable]
    matrices: Sequence[Matrix]
    labels: Sequence[str]
    environment: Sequence[tuple[str, str]]


def report_html(runs: Sequence[Run]) -> str:
    """One page for all runs; the same input gives the same bytes."""
    newest = max(run.report.created for run in runs)
    return render(
        "report.html.j2",
        sections=[_section(run) for run in runs],
        created=newest.strftime("%Y-%m-%d %H:%M %Z"),
        headline=_headline(runs),
    )


def _section(run: Run) -> Section:
    rows = run.report.measurements
    grid = report_grid(run.report)
    names = _short_names(rows)
    measure, accuracies = _accuracies(rows)
    judged = [(row, accuracies[row.artifact]) for row in rows if row.artifact in accuracies]
    latency = [
        (names[row.artifact], row.target, row.latency.p50_ms, accuracy)
        for row, accuracy in judged
        if row.latency and row.latency.p50_ms > 0
    ]
    size = [(names[row.artifact], row.target, row.size_bytes / 1024, accuracy) for row, accuracy in judged if row.size_bytes]
    charts = [
        scatter("Accuracy against latency", "ms", measure, latency),
        scatter("Accuracy against size", "KiB", measure, size),
    ]
    return Section(
        run.name,
        grid,
        sort_keys(grid),
        [chart for chart in charts if chart],
        strips([(names[row.artifact], row.latency) for row in rows if row.latency]),
        [course(names[row.artifact], row.sustained) for row in rows if row.sustained and row.sustained.minutes],
        [_operations(row.artifact, row.profile) for row in rows if row.profile and row.profile.operations],
        [found for row in rows if (found := _class_changes(row))],
        label_tables(rows),
        [
            matrix_of(row.artifact, row.accuracy.confusion, run.report.labels)
            for row in rows
            if row.accuracy and row.accuracy.confusion
        ],
        run.report.labels,
        _environment(run.report.environment),
    )


def _accuracies(rows: Sequence[Measurement]) -> tuple[str, dict[str, float]]:
    """What accuracy is here, and that of each artifact: mean average precision where images have any number of labels."""
    if any(row.multilabel for row in rows):
        return "mAP", {row.artifact: row.multilabel.mean_average_precision for row in rows if row.multilabel}
    return "top-1", {row.artifact: row.accuracy.top1 for row in rows if row.accuracy}


def _headline(runs: Sequence[Run]) -> str:
    """What was measured, in one sentence."""
    artifacts = {row.artifact for run in runs for row in run.report.measurements}
    measured = [row.accuracy or row.multilabel for run in runs for row in run.report.measurements]
    images = max((found.images for found in measured if found), default=0)
    places = counted(len(runs), "environment")
    return f"{counted(len(artifacts), 'artifact')} in {places}" + (
        f", accuracy on {counted(images, 'image', ',')}" if images else ""
    )


def _short_names(rows: Sequence[Measurement]) -> dict[str, str]:
    """Without the `base-` that most begin with, where the rest still tells them apart."""
    short = {row.artifact: row.artifact.removeprefix("base-") for row in rows}
    return short if len(set(short.values())) == len(short) else {name: name for name in short}


def sort_keys(grid: Grid) -> list[list[float | str]]:
    """What each cell is sorted by."""
    return [
        [_sort_key(cell) if column.numeric else cell for column, cell in zip(grid.columns, row, strict=True)] for row in grid.rows
    ]


def _sort_key(cell: str) -> float | str:
    """The number of a cell, in bytes where it is a size; the empty text, which goes last, where there is none."""
    found = _NUMBER.search(cell)
    if not found:
        return ""
    unit = next((factor for name, factor in _UNITS.items() if name in cell), 1.0)
    return float(found[0].replace(",", "")) * unit


def _operations(artifact: str, profile: Profile) -> Operations:
    shown = profile.operations[:_OPERATIONS_LISTED]
    largest = shown[0].share or 1.0
    return Operations(artifact, profile, [(operation, round(100 * operation.share / largest, 1)) for operation in shown])


def _class_changes(row: Measurement) -> ClassChanges | None:
    found = [entry for entry in row.accuracy.classes if entry.recall_delta] if row.accuracy else []
    if not found or not row.flips or not row.accuracy:
        return None
    largest = max(abs(entry.recall_delta or 0.0) for entry in found)
    found.sort(key=lambda entry: entry.recall_delta or 0.0)
    shown = found if len(found) <= _CLASSES_LISTED else [*found[: _CLASSES_LISTED - 3], *found[-3:]]
    rows = [(entry, round(50 * abs(entry.recall_delta or 0.0) / largest, 1)) for entry in shown]
    return ClassChanges(row.artifact, row.flips.reference, rows, len(found), len(row.accuracy.classes))


def _environment(found: Environment) -> list[tuple[str, str]]:
    rows = {
        "device": found.device,
        "processor": found.processor,
        "instruction sets": ", ".join(found.instruction_sets),
        "cores": str(found.cores or ""),
        "memory": f"{found.memory_bytes / 2**30:.1f} GiB" if found.memory_bytes else "",
        "platform": ", ".join(filter(None, (found.platform, found.machine))),
        "Python": found.python,
        "packages": ", ".join(f"{name} {version}" for name, version in found.packages.items()),
    }
    return [(name, text) for name, text in rows.items() if text]
