"""State: what a baseline would hold of an artifacts folder and its measurements as they are now."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from edgecls.errors import GateError
from edgecls.evaluation.flips_reference import flips_reference
from edgecls.gate.baseline import (
    Baseline,
    BaselineAccuracy,
    BaselineArtifact,
    BaselineFlips,
    BaselineMultiLabel,
    ModelIdentity,
)
from edgecls.gate.judgement import Current
from edgecls.records.accuracy import Flips
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.latency import Latency
from edgecls.records.measurement import Measurement
from edgecls.records.record import first_fault
from edgecls.records.report import Report

_ACCURACY_DIGITS = 6
_RATIO_DIGITS = 4  # significant ones: no measurement repeats more


def current_of(manifest: Manifest, sound: list[Artifact], report: Report | None, latency_reference: str | None) -> Current:
    """The artifacts of a folder as they are now.

    Args:
        sound: those of the manifest that passed verification.
        report: their measurements, where there are any.
        latency_reference: what latencies are divided by; None for the first float32 artifact with one.

    Raises:
        GateError: figures that cannot be.
    """
    rows = _rows(report)
    state = _state(manifest, sound, report, latency_reference)
    failures = {
        artifact.name: f"{artifact.status}: {_reason(artifact)}" for artifact in manifest.artifacts if artifact.status != "ok"
    }
    names = {artifact.name for artifact in sound}
    broken = {name: row for name, row in rows.items() if name in names and row.status not in ("ok", "unsupported")}
    failures |= {name: f"{row.status} when it was run: {row.reason or 'no reason is known'}" for name, row in broken.items()}
    unmeasured = {name: _unmeasured(rows.get(name), report is not None) for name in names}
    unsupported = {name for name, row in rows.items() if row.status == "unsupported"}
    return Current(
        state,
        failures,
        _doubts(rows),
        unmeasured,
        unsupported,
        flips_reference=_flips_reference(manifest, failures, report),
        can_compare=any(one.scheme == "float32" and one.name not in failures.keys() | unsupported for one in sound),
        has_results=report is not None,
    )


def has_answers(report: Report) -> bool:
    """Whether any artifact was asked about images."""
    return any(row.accuracy or row.multilabel or row.flips for row in report.measurements)


def with_answers(report: Report, asked: Report) -> Report:
    """Times from one report, and what the same artifacts answered to images from another."""
    timed = {row.artifact: row for row in report.measurements}
    rows = []
    for row in asked.measurements:
        answers = {"accuracy": row.accuracy, "multilabel": row.multilabel, "flips": row.flips}
        untimed = row.model_copy(update={"latency": None, "engine": None})
        rows.append(timed.pop(row.artifact).model_copy(update=answers) if row.artifact in timed else untimed)
    return report.model_copy(update={"measurements": [*rows, *timed.values()]})


def _state(manifest: Manifest, sound: list[Artifact], report: Report | None, latency_reference: str | None) -> Baseline:
    """What a baseline of these artifacts holds.

    Raises:
        GateError: figures that cannot be.
    """
    rows = _rows(report)
    reference = _latency_reference(latency_reference, sound, rows)
    measured = report.environment if report and reference else None
    try:
        return Baseline(
            model=ModelIdentity.of(manifest),
            latency_reference=reference,
            processor=measured and measured.processor,
            instruction_sets=measured.instruction_sets if measured else [],
            artifacts={artifact.name: _entry(artifact, rows.get(artifact.name), rows.get(reference or "")) for artifact in sound},
        )
    except ValidationError as error:
        raise GateError(
            "figures that a baseline can hold", first_fault(error), "measure them again with `edgecls bench`"
        ) from None


def _rows(report: Report | None) -> dict[str, Measurement]:
    return {row.artifact: row for row in report.measurements} if report else {}


def _latency_reference(wanted: str | None, sound: list[Artifact], rows: dict[str, Measurement]) -> str | None:
    """The artifact latencies are divided by: the one asked for, else the first float32 one; None if it has no latency."""
    first = next((artifact.name for artifact in sound if artifact.scheme == "float32" and _p50(rows.get(artifact.name))), None)
    name = wanted or first
    return name if name and _p50(rows.get(name)) else None


def _flips_reference(manifest: Manifest, failures: Mapping[str, str], report: Report | None) -> str | None:
    """What the others are compared with: the float32 artifact that was asked about images; where none was, the one that failed instead
    of being asked."""
    asked = {row.artifact for row in report.measurements if _asked(row, report)} if report else set()
    answered = flips_reference(artifact for artifact in manifest.artifacts if artifact.name in asked - failures.keys())
    return answered or flips_reference(artifact for artifact in manifest.artifacts if artifact.name in failures)


def _asked(row: Measurement, report: Report) -> bool:
    """Whether it answered to images: their labels tell, and images without labels leave no trace in the row of a reference."""
    unlabelled = report.data is not None and not report.data.labelled
    return row.status == "ok" and bool(row.accuracy or row.multilabel or unlabelled)


def _p50(row: Measurement | None) -> float | None:
    """Of a real processor: an emulated one's time is none to hold anything against."""
    if row is None or row.latency is None or "emulated" in _doubt_codes(row.latency):
        return None
    return row.latency.p50_ms


def _doubt_codes(latency: Latency) -> list[str]:
    return [reason.code for reason in latency.validity.reasons] if latency.validity else []


def _entry(artifact: Artifact, row: Measurement | None, reference: Measurement | None) -> BaselineArtifact:
    p50, reference_p50 = _p50(row), _p50(reference)
    accuracy, multilabel = (row.accuracy, row.multilabel) if row else (None, None)
    return BaselineArtifact(
        size_bytes=artifact.size_bytes,
        compressed_bytes=artifact.compressed_bytes,
        accuracy=accuracy
        and BaselineAccuracy(
            images=accuracy.images, top1=round(accuracy.top1, _ACCURACY_DIGITS), tied_images=accuracy.tied_images or 0
        ),
        multilabel=multilabel
        and BaselineMultiLabel(
            images=multilabel.images, mean_average_precision=round(multilabel.mean_average_precision, _ACCURACY_DIGITS)
        ),
        flips=row.flips and _flips(row.flips) if row else None,
        latency_ratio=_ratio(p50, reference_p50) if p50 and reference_p50 else None,
        engine=f"{row.engine.name} {row.engine.version}".rstrip() if row and row.engine and p50 and reference_p50 else "",
    )


def _ratio(p50: float, reference: float) -> float:
    return float(f"{p50 / reference:.{_RATIO_DIGITS}g}")


def _flips(flips: Flips) -> BaselineFlips:
    """With the images that changed sides, if the results list all of them."""
    if flips.sets_listed:
        return BaselineFlips(reference=flips.reference, images=flips.images, count=flips.count)
    listed = [flip for flip in flips.images_listed if flip.label is not None]
    lost = sorted(flip.index for flip in listed if flip.reference_winner == flip.label != flip.winner)
    gained = sorted(flip.index for flip in listed if flip.winner == flip.label != flip.reference_winner)
    complete = (len(lost), len(gained)) == (flips.lost, flips.gained)
    return BaselineFlips(
        reference=flips.reference,
        images=flips.images,
        count=flips.count,
        lost=lost if complete else None,
        gained=gained if complete else None,
    )


def _doubts(rows: dict[str, Measurement]) -> dict[str, str]:
    invalid = {
        name: row.latency.validity
        for name, row in rows.items()
        if row.latency and row.latency.validity and row.latency.validity.verdict == "invalid"
    }
    return {name: "; ".join(reason.text for reason in validity.reasons) for name, validity in invalid.items()}


def _unmeasured(row: Measurement | None, has_results: bool) -> str:
    if row is None:
        return "no measurement of it in the results" if has_results else "no results.json: nothing was measured"
    return row.reason or row.status if row.status != "ok" else "a measurement without it"


def _reason(artifact: Artifact) -> str:
    return artifact.reason or (artifact.parity.reason if artifact.parity else "") or "no reason is known"
