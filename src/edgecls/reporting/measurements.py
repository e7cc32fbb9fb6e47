"""The table of a bench: one row per artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edgecls.records.counted import counted
from edgecls.records.latency import Latency
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.reporting.findings import (
    DOUBTFUL,
    place_words,
    profile_notes,
    ranking_notes,
    significance_notes,
    validity_notes,
)
from edgecls.reporting.grid import Column, Grid, make_grid, shared_reasons, told_once
from edgecls.reporting.label_sets import multilabel_columns, multilabel_notes
from edgecls.reporting.units import format_bytes, format_interval, format_ms, format_share

T = TypeVar("T")


def report_grid(report: Report) -> Grid:
    """All measurements of a run. What was not measured leaves no column; a failed row stays, with its reason."""
    return make_grid(_columns(report), report.measurements, lambda row: row.status == "ok", _notes(report))


def _columns(report: Report) -> list[Column[Measurement]]:
    columns = [
        Column[Measurement]("artifact", lambda row: row.artifact),
        Column[Measurement]("size", lambda row: format_bytes(row.size_bytes), numeric=True, rank=2),
        Column[Measurement]("download", lambda row: format_bytes(row.compressed_bytes), numeric=True, rank=7),
        Column[Measurement](
            "top-1", _maybe(lambda row: row.accuracy, lambda found: format_share(found.top1)), numeric=True, rank=1
        ),
        Column[Measurement](
            "95 %",
            _maybe(lambda row: row.accuracy and row.accuracy.top1_interval, lambda found: format_interval(found, 100)),
            numeric=True,
            rank=6,
        ),
        Column[Measurement](
            "top-5", _maybe(lambda row: row.accuracy, lambda found: format_share(found.top5)), numeric=True, rank=8
        ),
        *multilabel_columns(),
        Column[Measurement](
            "flips", _maybe(lambda row: row.flips, lambda found: f"{found.count} of {found.images}"), numeric=True, rank=4
        ),
        Column[Measurement]("p50 ms", p50_cell, numeric=True, rank=1),
        Column[Measurement](
            "ratio",
            _maybe(
                lambda row: row.latency_ratio, lambda found: f"{found.ratio:.2f}" if found.verdict != "no difference" else "same"
            ),
            numeric=True,
            rank=5,
        ),
        *asked_columns(report),
        Column[Measurement](
            "p90 ms", _maybe(lambda row: row.latency, lambda found: format_ms(found.p90_ms)), numeric=True, rank=6
        ),
        Column[Measurement]("load ms", lambda row: format_ms(row.load_ms), numeric=True, rank=9),
        Column[Measurement]("first ms", lambda row: format_ms(row.first_inference_ms), numeric=True, rank=10),
        Column[Measurement]("memory", lambda row: format_bytes(row.peak_memory_bytes), numeric=True, rank=3),
    ]
    if any(row.status != "ok" for row in report.measurements):
        columns.append(Column[Measurement]("status", lambda row: row.status))
    return columns


def asked_columns(report: Report) -> list[Column[Measurement]]:
    """What is measured where it is asked for: other numbers of threads, batches, a sustained run."""
    return [
        *(_threads_column(threads) for threads in _all(report, lambda row: [found.threads for found in row.threads_latency])),
        *(_batch_column(batch) for batch in _all(report, lambda row: [found.batch for found in row.throughput])),
        Column[Measurement](
            "slowdown", _maybe(lambda row: row.sustained, lambda found: f"{found.slowdown:.2f}"), numeric=True, rank=2
        ),
    ]


def p50_cell(row: Measurement, needs: str = "needs {}") -> str:
    """The median latency in ms, marked where it is doubtful; `needs` with the system where it can be measured, where this is another."""
    if row.latency is None:
        return needs.format(row.latency_needs) if row.latency_needs else ""
    return _p50(row.latency)


def _maybe(part: Callable[[Measurement], T | None], text: Callable[[T], str]) -> Callable[[Measurement], str]:
    def cell(row: Measurement) -> str:
        found = part(row)
        return "" if found is None else text(found)

    return cell


def _p50(latency: Latency) -> str:
    doubtful = latency.validity is not None and latency.validity.verdict == "invalid"
    return format_ms(latency.p50_ms) + (DOUBTFUL if doubtful else "")


def _threads_column(threads: int) -> Column[Measurement]:
    def cell(row: Measurement) -> str:
        return next((_p50(found.latency) for found in row.threads_latency if found.threads == threads), "")

    return Column[Measurement](f"{threads} thr. ms", cell, numeric=True, rank=3)


def _batch_column(batch: int) -> Column[Measurement]:
    def cell(row: Measurement) -> str:
        return next((f"{found.images_per_second:,.0f}" for found in row.throughput if found.batch == batch), "")

    return Column[Measurement](f"batch {batch}/s", cell, numeric=True, rank=3)


def _all(report: Report, numbers: Callable[[Measurement], list[int]]) -> list[int]:
    return list(dict.fromkeys(number for row in report.measurements for number in numbers(row)))


def failed_notes(report: Report) -> list[str]:
    """Which artifacts did not run, and what could not be measured of others, each reason once."""
    bad = [row for row in report.measurements if row.status != "ok"]
    notes = shared_reasons([(row.artifact, f"{row.status}: {row.reason or 'no reason is known'}") for row in bad])
    return notes + shared_reasons(
        [(row.artifact, f"without {what}: {why}") for row in report.measurements for what, why in row.not_measured.items()]
    )


def engine_notes(report: Report) -> list[str]:
    """Where an artifact's engine answers otherwise than it should."""
    beside = [(row.artifact, row.stand_in_flips) for row in report.measurements if row.stand_in_flips]
    notes = [
        f"{name}: its engine names another class than the reference on {found.count} of {found.images} images"
        for name, found in beside
    ]
    return notes + [
        f"{row.artifact}: this processor clips its sums of uint8 × int8 products, which changes the {answer_words(report)} on "
        f"{row.exact_flips.count} of {row.exact_flips.images} images; exact with session.x64quantprecision=1, or on processors with VNNI "
        "and ARM"
        for row in report.measurements
        if row.exact_flips
    ]


def data_note(report: Report, *, resizing: bool = True) -> list[str]:
    """What accuracy was measured on, and how its pictures became the model's size."""
    if report.data is None:
        return []
    images = counted(report.data.images, "labelled image" if report.data.labelled else "image")
    unlabelled = "" if report.data.labelled else " without labels"
    resized = f", {report.image_spec.resizing_words}" if resizing and report.image_spec else ""
    about = f": {report.data.note}" if report.data.note else ""
    return [f"{images}{unlabelled} of {report.data.path}{resized}{about}"]


def answer_words(report: Report) -> str:
    """What an artifact's answer to an image is."""
    return "set of predicted classes" if any(row.multilabel for row in report.measurements) else "winner"


def reference_names(report: Report) -> list[str]:
    """The artifacts that others' answers are counted against."""
    return sorted({row.flips.reference for row in report.measurements if row.flips is not None})


def _notes(report: Report) -> list[str]:
    notes = [*failed_notes(report), *data_note(report), *multilabel_notes(report)]
    if references := reference_names(report):
        notes.append(f"flips: images on which the {answer_words(report)} differs from that of {', '.join(references)}")
    stand_ins = [
        (row.artifact, f"computed by {row.engine.name}") for row in report.measurements if row.latency_needs and row.engine
    ]
    notes += shared_reasons(stand_ins)
    notes += [*engine_notes(report), *significance_notes(report)]
    if any(row.latency_ratio for row in report.measurements):
        first = next(row.latency_ratio.reference for row in report.measurements if row.latency_ratio)
        notes.append(f"ratio: p50 over that of {first}, round by round; same: no difference at 99 % confidence")
    notes += [*validity_notes(report), *ranking_notes(report), *profile_notes(report)]
    threads = sorted({row.threads for row in report.measurements})
    notes.append(
        f"latency: one image at a time, {', '.join(map(str, threads))} thread(s), {place_words(report)}; "
        "download: the file after deflate; memory: the most that opening and running it took"
    )
    notes += told_once(report.notes, {row.artifact for row in report.measurements})
    return [*notes, *(pick.sentence for pick in report.picks)]
