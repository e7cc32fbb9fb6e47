"""The table of a bench: one row per artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edgecls.measurement import Measurement, Report
from edgecls.reporting.grid import Column, Grid, make_grid, shared_reasons
from edgecls.reporting.units import format_bytes, format_ms, format_share

T = TypeVar("T")


def report_grid(report: Report) -> Grid:
    """All measurements of a run. What was not measured leaves no column; a failed row stays, with its reason."""
    return make_grid(_columns(report), report.measurements, lambda row: row.status == "ok", _notes(report))


def _columns(report: Report) -> list[Column[Measurement]]:
    columns = [
        Column[Measurement]("artifact", lambda row: row.artifact),
        Column[Measurement]("size", lambda row: format_bytes(row.size_bytes), numeric=True, rank=2),
        Column[Measurement]("download", lambda row: format_bytes(row.compressed_bytes), numeric=True, rank=6),
        Column[Measurement](
            "top-1", _maybe(lambda row: row.accuracy, lambda found: format_share(found.top1)), numeric=True, rank=1
        ),
        Column[Measurement](
            "top-5", _maybe(lambda row: row.accuracy, lambda found: format_share(found.top5)), numeric=True, rank=7
        ),
        Column[Measurement](
            "flips", _maybe(lambda row: row.flips, lambda found: f"{found.count} of {found.images}"), numeric=True, rank=4
        ),
        Column[Measurement]("p50 ms", _p50, numeric=True, rank=1),
        Column[Measurement](
            "p90 ms", _maybe(lambda row: row.latency, lambda found: format_ms(found.p90_ms)), numeric=True, rank=5
        ),
        Column[Measurement]("load ms", lambda row: format_ms(row.load_ms), numeric=True, rank=8),
        Column[Measurement]("first ms", lambda row: format_ms(row.first_inference_ms), numeric=True, rank=9),
        Column[Measurement]("memory", lambda row: format_bytes(row.peak_memory_bytes), numeric=True, rank=3),
    ]
    if any(row.status != "ok" for row in report.measurements):
        columns.append(Column[Measurement]("status", lambda row: row.status))
    return columns


def _p50(row: Measurement) -> str:
    if row.latency is None:
        return f"needs {row.latency_needs}" if row.latency_needs else ""
    return format_ms(row.latency.p50_ms)


def _maybe(part: Callable[[Measurement], T | None], text: Callable[[T], str]) -> Callable[[Measurement], str]:
    def cell(row: Measurement) -> str:
        found = part(row)
        return "" if found is None else text(found)

    return cell


def _notes(report: Report) -> list[str]:
    bad = [row for row in report.measurements if row.status != "ok"]
    notes = shared_reasons([(row.artifact, f"{row.status}: {row.reason or 'no reason is known'}") for row in bad])
    if report.data is not None:
        labelled = "labelled images" if report.data.labelled else "images without labels"
        notes.append(
            f"{report.data.images} {labelled} of {report.data.path}{': ' + report.data.note if report.data.note else ''}"
        )
    references = sorted({row.flips.reference for row in report.measurements if row.flips is not None})
    if references:
        notes.append(f"flips: images on which the winner differs from that of {', '.join(references)}")
    stand_ins = [
        (row.artifact, f"scores by {row.engine.name}") for row in report.measurements if row.latency_needs and row.engine
    ]
    notes += shared_reasons(stand_ins)
    threads = sorted({row.threads for row in report.measurements})
    notes.append(
        f"latency: one image at a time, {', '.join(map(str, threads))} thread(s), {report.environment.processor}; "
        "download: the file after deflate; memory: the most that opening and running it took"
    )
    return notes + list(report.notes)
