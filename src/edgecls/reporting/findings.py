"""What follows from the figures of a run, in sentences for below its table."""

from __future__ import annotations

from edgecls.records.measurement import Measurement
from edgecls.records.report import Report

DOUBTFUL = " ?"  # behind a latency that is not valid
SIGNIFICANT = 0.05
_NAMED = 3  # artifacts or classes in one sentence


def significance_notes(report: Report) -> list[str]:
    """Whose accuracy differs from the reference's beyond chance, and which classes lost most there."""
    tested = [(row, row.flips) for row in report.measurements if row.flips and row.flips.mcnemar_p is not None]
    if not tested:
        return []
    different = [(row, flips) for row, flips in tested if flips.mcnemar_p is not None and flips.mcnemar_p < SIGNIFICANT]
    names = ", ".join(
        f"{row.artifact} ({flips.lost} lost, {flips.gained} gained, p = {flips.mcnemar_p:.2g})" for row, flips in different
    )
    what = "the share of images with all classes right" if any(row.multilabel for row, _ in tested) else "accuracy"
    notes = [f"{what} differs from the reference's beyond chance (exact McNemar test, p < {SIGNIFICANT:g}): {names or 'none'}"]
    return notes + [f"{row.artifact} lost most on {classes}" for row, _ in different if (classes := _lost_classes(row))]


def validity_notes(report: Report) -> list[str]:
    """Why latencies are marked, each reason once, in the words of the first artifact it holds for."""
    doubts: dict[str, list[tuple[str, str]]] = {}
    for row in report.measurements:
        latencies = [row.latency, *(found.latency for found in row.threads_latency)]
        reasons = {r.code: r.text for found in latencies if found and found.validity for r in found.validity.reasons}
        for code, text in reasons.items():
            doubts.setdefault(code, []).append((row.artifact, text))
    return [f"latency marked{DOUBTFUL} is not valid: {_who(found)}" for found in doubts.values()]


def profile_notes(report: Report) -> list[str]:
    """Where the time of each profiled artifact goes, or why that is not known."""
    notes = []
    for row in report.measurements:
        words = "; ".join(row.profile.words) if row.profile else row.profile_note
        notes += [f"profile of {row.artifact}: {words}"] if words else []
    return notes


def _lost_classes(row: Measurement) -> str:
    changes = [(found.recall_delta or 0.0, found.label) for found in row.accuracy.classes] if row.accuracy else []
    if row.multilabel:
        changes = [(found.average_precision_delta or 0.0, found.label) for found in row.multilabel.classes]
    lost = sorted((change for change in changes if change[0] < 0), key=lambda change: change[0])
    return ", ".join(f"{label} ({change * 100:+.1f} points)" for change, label in lost[:_NAMED])


def _who(found: list[tuple[str, str]]) -> str:
    first, text = found[0]
    others = len(found) - 1
    return f"{text} ({first}{f', likewise {others} more' if others else ''})"
