"""Measurements as CSV: one row for each artifact in each environment, raw numbers with their unit in the title."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from edgecls.records.measurement import Measurement
from edgecls.reporting.runs import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute
_COLUMNS: dict[str, Callable[[Measurement], object]] = {
    "artifact": lambda row: row.artifact,
    "target": lambda row: row.target,
    "scheme": lambda row: row.scheme,
    "status": lambda row: row.status,
    "size_bytes": lambda row: row.size_bytes or None,
    "compressed_bytes": lambda row: row.compressed_bytes or None,
    "images": lambda row: row.accuracy.images if row.accuracy else row.multilabel and row.multilabel.images,
    "top1": lambda row: row.accuracy and row.accuracy.top1,
    "top1_low": lambda row: row.accuracy and row.accuracy.top1_interval and row.accuracy.top1_interval.low,
    "top1_high": lambda row: row.accuracy and row.accuracy.top1_interval and row.accuracy.top1_interval.high,
    "top5": lambda row: row.accuracy and row.accuracy.top5,
    "mean_average_precision": lambda row: row.multilabel and row.multilabel.mean_average_precision,
    "macro_f1": lambda row: row.multilabel and row.multilabel.macro_f1,
    "micro_f1": lambda row: row.multilabel and row.multilabel.micro_f1,
    "exact_match": lambda row: row.multilabel and row.multilabel.exact_match,
    "flips": lambda row: row.flips and row.flips.count,
    "flips_lost": lambda row: row.flips and row.flips.lost,
    "flips_gained": lambda row: row.flips and row.flips.gained,
    "mcnemar_p": lambda row: row.flips and row.flips.mcnemar_p,
    "engine": lambda row: row.engine and f"{row.engine.name} {row.engine.version}".rstrip(),
    "threads": lambda row: row.threads,
    "p50_ms": lambda row: row.latency and row.latency.p50_ms,
    "p90_ms": lambda row: row.latency and row.latency.p90_ms,
    "p99_ms": lambda row: row.latency and row.latency.p99_ms,
    "latency_validity": lambda row: row.latency and row.latency.validity and row.latency.validity.verdict,
    "load_ms": lambda row: row.load_ms,
    "first_inference_ms": lambda row: row.first_inference_ms,
    "peak_memory_bytes": lambda row: row.peak_memory_bytes,
}


def runs_csv(runs: Sequence[Run]) -> str:
    """CSV (RFC 4180 with line feeds), what is absent left empty; a text that a spreadsheet would compute begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["environment", *_COLUMNS, "instruction_sets"])
    for run in runs:
        sets = " ".join(run.report.environment.instruction_sets)
        for row in run.report.measurements:
            writer.writerow([_cell(run.name), *(_cell(read(row)) for read in _COLUMNS.values()), sets])
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
