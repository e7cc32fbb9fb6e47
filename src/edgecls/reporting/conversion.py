"""The table of a conversion: what was asked, what the files really hold, and whether they compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecls.records.artifact import Actual, Artifact, Manifest, Parity
from edgecls.records.counted import counted
from edgecls.reporting.grid import Column, Grid, make_grid, shared_reasons, told_once
from edgecls.reporting.units import format_bytes, format_parts, format_share

INPUTS = {"images": "image", "synthetic": "synthetic input"}


def conversion_grid(manifest: Manifest) -> Grid:
    """All artifacts of a manifest; below them why some were rejected, failed or not judged, and what stayed float."""
    columns = [
        Column[Artifact]("artifact", lambda row: row.name),
        Column[Artifact]("size", lambda row: format_bytes(row.size_bytes), numeric=True, rank=1),
        Column[Artifact]("download", lambda row: format_bytes(row.compressed_bytes), numeric=True, rank=5),
        Column[Artifact]("requested", _requested, rank=1),
        Column[Artifact]("weights", _actual(lambda found: format_parts(found.weight_dtypes)), rank=3),
        Column[Artifact]("activations", _actual(lambda found: format_parts(found.activation_dtypes)), rank=4),
        Column[Artifact]("stayed float", _actual(lambda found: str(len(found.stayed_float) or "")), numeric=True, rank=6),
        Column[Artifact]("verified", _parity(lambda found: found.verdict)),
        Column[Artifact]("difference", _parity(_difference), numeric=True, rank=2),
        Column[Artifact](
            agreement_title(manifest), _parity(lambda found: format_share(found.top1_agreement)), numeric=True, rank=2
        ),
        Column[Artifact](
            "SNR", _parity(lambda found: "" if found.snr_db is None else f"{found.snr_db:.1f} dB"), numeric=True, rank=7
        ),
        Column[Artifact]("status", lambda row: row.status if row.status != "ok" else ""),
    ]
    return make_grid(columns, manifest.artifacts, lambda row: row.status == "ok", _notes(manifest))


def agreement_title(manifest: Manifest) -> str:
    """What artifacts are alike in on a share of the images: the winner, or the set of classes where each has a sigmoid of its own."""
    return "same set" if manifest.output_kind == "sigmoid" and manifest.outputs > 1 else "same top-1"


def _actual(text: Callable[[Actual], str]) -> Callable[[Artifact], str]:
    return lambda row: text(row.actual) if row.actual else ""


def _parity(text: Callable[[Parity], str]) -> Callable[[Artifact], str]:
    return lambda row: text(row.parity) if row.parity else ""


def _requested(row: Artifact) -> str:
    asked = row.requested
    details = [
        f"{asked.io} in and out" if asked.io != "float32" else "",
        asked.estimator or "",
        asked.minimum_deployment_target or "",
        f"{len(asked.keep_float)} float" if asked.keep_float else "",
    ]
    return ", ".join([asked.scheme, *filter(None, details)])


def _difference(parity: Parity) -> str:
    return "" if parity.max_abs_diff is None else f"{parity.max_abs_diff:.1e}"


def failure_notes(manifest: Manifest) -> list[str]:
    """Why artifacts were rejected or not made, each reason once."""
    bad = [row for row in manifest.artifacts if row.status != "ok"]
    unjudged = [row for row in manifest.artifacts if row.parity and row.parity.verdict == "not judged"]
    return [
        *shared_reasons([(row.name, f"{row.status}: {_reason(row)}") for row in bad]),
        *shared_reasons([(row.name, f"not judged: {_reason(row)}") for row in unjudged]),
    ]


def compared(rows: Sequence[Artifact]) -> dict[str, list[str]]:
    """On what artifacts were compared with the source model, as "24 images" -> their schemes."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.parity and row.parity.max_abs_diff is not None:
            found.setdefault(counted(row.parity.samples, INPUTS[row.parity.inputs]), {})[row.scheme] = None
    return {inputs: [*schemes] for inputs, schemes in found.items()}


def _comparison_notes(manifest: Manifest) -> list[str]:
    found = compared(manifest.artifacts)
    whose = {inputs: f"{', '.join(schemes)}: " if len(found) > 1 else "" for inputs, schemes in found.items()}
    return [f"{whose[inputs]}compared with the source model on {inputs}" for inputs in found]


def _notes(manifest: Manifest) -> list[str]:
    partly = [(row.name, f"stayed float: {text}") for row in manifest.artifacts if (text := _stayed_float(row))]
    return [
        *failure_notes(manifest),
        *shared_reasons(partly),
        *_comparison_notes(manifest),
        *told_once([*manifest.notes, *manifest.details], {row.name for row in manifest.artifacts}),
    ]


def _reason(row: Artifact) -> str:
    return row.reason or (row.parity.reason if row.parity else "") or "no reason is known"


def _stayed_float(row: Artifact) -> str:
    if row.actual is None:
        return ""
    reasons: dict[str, list[str]] = {}
    for entry in row.actual.stayed_float:
        reasons.setdefault(entry.reason, []).append(entry.operation)
    return "; ".join(f"{_counted(operations)} ({reason})" for reason, operations in reasons.items())


def _counted(operations: list[str]) -> str:
    return ", ".join(f"{operations.count(name)} {name}" for name in dict.fromkeys(operations))
