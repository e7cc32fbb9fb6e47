"""What a terminal shows first: the columns that decide, each cause once and in plain words, the pick of each format in a line.

What is left out stands in the full tables (`--verbose`), in the JSON and on the page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from edgecls.evaluation.loss import float_artifact, loss_of
from edgecls.records.artifact import FORMATS, Artifact, Manifest
from edgecls.records.counted import counted
from edgecls.records.latency import Doubt
from edgecls.records.measurement import Measurement
from edgecls.records.pick import Pick
from edgecls.records.report import Report
from edgecls.reporting.conversion import agreement_title, compared, failure_notes
from edgecls.reporting.findings import DOUBTFUL, SIGNIFICANT, profile_notes, ranking_notes
from edgecls.reporting.grid import Column, Grid, make_grid, told_once
from edgecls.reporting.measurements import (
    answer_words,
    asked_columns,
    data_note,
    engine_notes,
    failed_notes,
    p50_cell,
    reference_names,
)
from edgecls.reporting.units import format_bytes, format_share

_CAUSES = 2  # why operations stayed float, that are told here
_NAMED = 3  # artifacts in one sentence
_TOLD = ("float32", "int8")  # schemes that the demo shows
_DOUBTS: dict[Doubt, str] = {
    "too_few_runs": "too few runs",
    "too_noisy": "rounds that differ",
    "machine_loaded": "other programs at work",
    "frequency_changed": "a clock that changed",
    "memory_swapped": "swapped memory",
    "emulated": "an emulated processor",
}


def conversion_summary(manifest: Manifest) -> Grid:
    """The artifacts of a manifest: size, what the weights are, and whether each computes the same."""
    columns = [
        Column[Artifact]("artifact", lambda row: row.name),
        Column[Artifact]("size", lambda row: format_bytes(row.size_bytes), numeric=True, rank=1),
        Column[Artifact]("download", lambda row: format_bytes(row.compressed_bytes), numeric=True, rank=2),
        Column[Artifact]("weights", _weights, rank=3),
        Column[Artifact]("verified", lambda row: row.parity.verdict if row.parity else ""),
        Column[Artifact](
            agreement_title(manifest),
            lambda row: format_share(row.parity.top1_agreement) if row.parity else "",
            numeric=True,
            rank=1,
        ),
        Column[Artifact]("status", lambda row: row.status if row.status != "ok" else ""),
    ]
    notes = [
        *failure_notes(manifest),
        *_floats(manifest.artifacts),
        *_comparison(manifest.artifacts),
        *told_once(manifest.notes, {row.name for row in manifest.artifacts}),
    ]
    return make_grid(columns, manifest.artifacts, lambda row: row.status == "ok", notes)


def report_summary(report: Report) -> Grid:
    """The measurements of a run: what is downloaded, how right, how fast, how like the float artifact; and which to ship."""
    notes = [
        *failed_notes(report),
        *data_note(report, resizing=False),
        *_agreement_notes(report),
        *engine_notes(report),
        *doubt_notes(report.measurements),
        *ranking_notes(report),
        *profile_notes(report),
        *told_once(report.notes, {row.artifact for row in report.measurements}),
        *pick_lines(report),
    ]
    return make_grid(_measured_columns(report), report.measurements, lambda row: row.status == "ok", notes)


def demo_grid(report: Report) -> Grid:
    """The same of the demo, so that it fits on a screen: of the schemes float32 and int8 alone, and those that are picked."""
    picked = [pick.artifact for pick in report.picks]
    rows = [row for row in report.measurements if row.scheme in _TOLD or row.artifact in picked or row.status != "ok"]
    notes = [
        *failed_notes(report),
        *_agreement_notes(report),
        *doubt_notes(report.measurements),
        *ranking_notes(report),
        *pick_lines(report),
    ]
    return make_grid(_measured_columns(report), rows, lambda row: row.status == "ok", notes)


def _weights(row: Artifact) -> str:
    """The dtype of most weights, as it was read back from the file."""
    held = row.actual.weight_dtypes if row.actual else {}
    return max(held, key=lambda dtype: held[dtype], default="")


def _comparison(rows: Sequence[Artifact]) -> list[str]:
    """On how many inputs the artifacts were compared with the source model."""
    found = compared(rows)
    if not found:
        return []
    most = max(found, key=lambda inputs: len(found[inputs]))
    others = "".join(f" ({', '.join(schemes)}: on {inputs})" for inputs, schemes in found.items() if inputs != most)
    return [f"verified: scores beside the source model's on {most}{others}"]


def _measured_columns(report: Report) -> list[Column[Measurement]]:
    return [
        Column[Measurement]("artifact", lambda row: row.artifact),
        Column[Measurement]("size", lambda row: format_bytes(row.size_bytes), numeric=True, rank=3),
        Column[Measurement]("download", lambda row: format_bytes(row.compressed_bytes), numeric=True, rank=2),
        Column[Measurement]("top-1", lambda row: format_share(row.accuracy.top1) if row.accuracy else "", numeric=True, rank=1),
        Column[Measurement](
            "mAP", lambda row: format_share(row.multilabel.mean_average_precision) if row.multilabel else "", numeric=True, rank=1
        ),
        Column[Measurement]("p50 ms", lambda row: p50_cell(row, "on {}"), numeric=True, rank=1),
        Column[Measurement]("agrees", _agreement, numeric=True, rank=4),
        *asked_columns(report),
        Column[Measurement]("status", lambda row: row.status if row.status != "ok" else ""),
    ]


def pick_lines(report: Report) -> list[str]:
    """Which artifact of each format to ship and what that saves, or why none; the rule behind it first."""
    chosen = [pick for pick in report.picks if pick.artifact]
    lines = [_pick_line(report, pick) for pick in report.picks]
    if not chosen:
        return lines
    within = chosen[0].within_points
    limit = "that loses no accuracy beyond chance (95 %)" if within is None else f"within {within:g} points of float's accuracy"
    return [f"To ship: the smallest download {limit}", *lines]


def _pick_line(report: Report, pick: Pick) -> str:
    rows = {row.artifact: row for row in report.measurements}
    row = rows.get(pick.artifact or "")
    if row is None:
        return pick.sentence
    facts = [_saved(row, report), _lost(row, rows.get(float_artifact(report.measurements) or ""))]
    return f"  {FORMATS.get(pick.target, pick.target)}: {row.artifact}: {', '.join(filter(None, facts))}"


def _saved(row: Measurement, report: Report) -> str:
    floats = [other for other in report.measurements if other.target == row.target and other.scheme == "float32"]
    before = floats[0].compressed_bytes if floats else 0
    size = format_bytes(row.compressed_bytes)
    return f"{size}, {row.compressed_bytes / before:.0%} of float32's" if before and floats[0] is not row else size


def _lost(row: Measurement, base: Measurement | None) -> str:
    if base is None or base is row or (loss := loss_of(row, base)) is None:
        return ""
    return f"{0.0 - round(loss.points, 2):+.2f} points" if loss.of != "agreement" else f"{100 - loss.points:.2f}% the same"


def _agreement(row: Measurement) -> str:
    return format_share(1 - row.flips.count / row.flips.images) if row.flips and row.flips.images else ""


def _agreement_notes(report: Report) -> list[str]:
    """What the column of agreement counts, and who loses accuracy beyond chance."""
    references = reference_names(report)
    if not references:
        return []
    notes = [f"agrees: images with the same {answer_words(report)} as {', '.join(references)}"]
    worse = [
        row.artifact
        for row in report.measurements
        if row.flips and row.flips.mcnemar_p is not None and row.flips.mcnemar_p < SIGNIFICANT and _loses(row)
    ]
    return [*notes, f"loses accuracy beyond chance: {_named(worse)}"] if worse else notes


def _loses(row: Measurement) -> bool:
    return bool(row.flips and (row.flips.lost or 0) > (row.flips.gained or 0))


def doubt_notes(rows: Iterable[Measurement]) -> list[str]:
    """Why latencies are marked, in one sentence."""
    found: dict[Doubt, None] = {}
    for row in rows:
        for latency in (row.latency, *(other.latency for other in row.threads_latency)):
            if latency and latency.validity:
                found.update(dict.fromkeys(reason.code for reason in latency.validity.reasons))
    if not found:
        return []
    causes = ", ".join(_DOUBTS[code] for code in found)
    again = "" if set(found) == {"emulated"} else "; measure again on a quiet machine"
    return [f"{DOUBTFUL.strip()} no fair comparison of latencies: {causes}{again}"]


def _floats(rows: Sequence[Artifact]) -> list[str]:
    """Which operations stayed float in quantized files: one line a cause, those of most files first."""
    causes: dict[str, dict[str, None]] = {}
    files: dict[str, set[str]] = {}
    for row in rows:
        for entry in row.actual.stayed_float if row.actual else ():
            causes.setdefault(entry.reason, {})[entry.operation.lower().replace("_", " ")] = None
            files.setdefault(entry.reason, set()).add(row.name)
    quantized = {row.name for row in rows if row.scheme == "int8" and row.actual}
    ordered = sorted(causes, key=lambda cause: -len(files[cause]))
    lines = [
        f"{_operations(causes[cause])} stayed float in {_files(files[cause], quantized)}: {cause}" for cause in ordered[:_CAUSES]
    ]
    if len(ordered) > _CAUSES:
        lines.append(f"other operations stayed float for {counted(len(ordered) - _CAUSES, 'more reason')} (--verbose)")
    return lines


def _operations(names: Collection[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _NAMED} other operations" if len(found) > _NAMED else ""
    return f"{', '.join(found[:_NAMED])}{more}"


def _files(names: Collection[str], quantized: Collection[str]) -> str:
    if len(names) == len(quantized) and len(names) > 1:
        return "every int8 file"
    return _named(sorted(names))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
