"""What follows from the figures of a run, in sentences for below its table."""

from __future__ import annotations

from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.reporting.units import format_ms

DOUBTFUL = " ?"  # behind a latency that is not valid
SIGNIFICANT = 0.05
_NAMED = 3  # artifacts or classes in one sentence
_ROUNDS = 5  # of each artifact: the chance that one of two equal ones is slower in all is 1 in 32
_NOISE = 1.1  # rounds of a valid latency lie within 10 %
_X86 = ("x86", "amd64", "i386", "i686")


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


def ranking_notes(report: Report) -> list[str]:
    """That this computer's order of speeds is not a phone's, where int8 is slower here than the float file of its format.

    Slower: by more than the noise that a latency may have, and in each of the rounds in which both took turns, so that neither a drift of
    the machine nor a single outlier says it.
    """
    found = report.environment
    if found.device or not found.machine.lower().startswith(_X86):
        return []
    pairs = [(row, base) for row in report.measurements if (base := _float_of(row, report)) and _always_slower(row, base)]
    if not pairs:
        return []
    row, base = max(pairs, key=lambda pair: _p50_ms(pair[0]) / _p50_ms(pair[1]))
    why = "" if "vnni" in found.instruction_sets else ": this processor has no VNNI, which sums int8 products"
    return [
        f"int8 is slower than float here ({row.artifact}: {format_ms(_p50_ms(row))} ms against {format_ms(_p50_ms(base))}){why}. Phones "
        "rank otherwise: measure there, with --on MACHINE or the Android, iOS and web samples"
    ]


def place_words(report: Report) -> str:
    """The device or processor that measured, with the instruction sets that matter."""
    found = report.environment
    sets = f" ({' '.join(found.instruction_sets)})" if found.instruction_sets else ""
    return f"{', '.join(filter(None, (found.device, found.processor))) or found.platform}{sets}"


def _float_of(row: Measurement, report: Report) -> Measurement | None:
    """The float artifact of the format of an int8 one, of the same variant where there is one."""
    if row.scheme != "int8":
        return None
    floats = [other for other in report.measurements if other.target == row.target and other.scheme == "float32"]
    own = row.artifact.removesuffix(row.scheme)
    return next((other for other in floats if other.artifact.startswith(own)), floats[0] if floats else None)


def _always_slower(row: Measurement, base: Measurement) -> bool:
    rounds = [found.latency.rounds_p50_ms if found.latency else [] for found in (row, base)]
    pairs = list(zip(*rounds, strict=False))
    return len(pairs) >= _ROUNDS and all(slow > fast for slow, fast in pairs) and _p50_ms(row) > _NOISE * _p50_ms(base)


def _p50_ms(row: Measurement) -> float:
    return row.latency.p50_ms if row.latency else 0.0


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
