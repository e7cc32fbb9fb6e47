"""check: an artifacts folder and its measurements -> what of them breaks the budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgecls.errors import ArtifactError, EdgeclsError, GateError
from edgecls.formats import change_since_conversion, describe
from edgecls.gate.baseline import (
    BASELINE_NAME,
    Baseline,
    BaselineAccuracy,
    BaselineArtifact,
    BaselineFlips,
    BaselineMultiLabel,
    ModelIdentity,
)
from edgecls.gate.budget import BUDGET_NAME, Budget
from edgecls.gate.judgement import Current, compare
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.finding import GateResult, LayerChange
from edgecls.records.measurement import Flips, Latency, Measurement, Report
from edgecls.records.record import first_fault
from edgecls.system.store import write_text

RESULTS_NAME = "results.json"
_LAYER_SHARE = 0.01  # smaller layers are not told apart in a baseline
_ACCURACY_DIGITS = 6
_REMEASURE = "measure them again with `edgecls bench`"
_RATIO_DIGITS = 4  # significant ones: no measurement repeats more


@dataclass(frozen=True)
class CheckRequest:
    """What `edgecls check` was asked.

    Attributes:
        folder: artifacts folder.
        baseline: the file to compare with, or to write.
        budget: None for `edgecls.toml` beside the baseline, if there is one.
        results: measurements; None for `results.json` in the folder, if there is one.
        gate_latency: latency ratios are gated too.
    """

    folder: Path
    baseline: Path = Path(BASELINE_NAME)
    budget: Path | None = None
    results: Path | None = None
    gate_latency: bool = False


def check(request: CheckRequest) -> GateResult:
    """Compare a folder with its baseline.

    Raises:
        GateError: a gate that is broken: baseline, budget or results that cannot be compared.
        ArtifactError: the folder or the results cannot be read.
    """
    budget = _budget(request)
    baseline = Baseline.read(request.baseline)
    current = snapshot(request, budget.latency_reference or baseline.latency_reference)
    return compare(current, baseline, budget, gate_latency=request.gate_latency)


def update_baseline(request: CheckRequest) -> tuple[Baseline, list[str]]:
    """Write the state of a folder as its baseline, in one step.

    Returns:
        What was written, and remarks on what it lacks.

    Raises:
        GateError, ArtifactError, OutputError: as `check`.
    """
    budget = _budget(request)
    current = snapshot(request, budget.latency_reference)
    budget.require_known(current.state.artifacts)
    notes = [f"{name} is left out: {reason}" for name, reason in sorted(current.failures.items())]
    manifest = Manifest.read(request.folder)
    entries = dict(current.state.artifacts)
    for artifact in _sound(manifest):
        try:
            entries[artifact.name] = entries[artifact.name].model_copy(
                update={"layers": layer_sizes(request.folder / artifact.path)}
            )
        except EdgeclsError as error:
            notes.append(f"sizes by layer of {artifact.name} are left out: {error}")
    if not any(entry.accuracy or entry.multilabel for entry in entries.values()):
        notes.append("without accuracy: `edgecls bench` on labelled images measures it")
    if budget.latency_reference and current.state.latency_reference is None:
        notes.append(f"without latencies: the results have none of {budget.latency_reference}, which all are divided by")
    baseline = current.state.model_copy(update={"artifacts": entries})
    write_text(request.baseline, baseline.to_json())
    return baseline, notes


def snapshot(request: CheckRequest, latency_reference: str | None = None) -> Current:
    """The artifacts of a folder as they are now.

    Raises:
        ArtifactError: no manifest, no sound artifact, a file that is not the manifest's.
        GateError: results of other artifacts, or with figures that cannot be.
    """
    manifest = Manifest.read(request.folder)
    sound = _sound(manifest)
    if not sound:
        raise ArtifactError("artifacts that passed verification", f"none in {request.folder}", "see its manifest.json for why")
    for artifact in sound:
        _require_unchanged(request.folder / artifact.path, artifact)
    report = _report(request, manifest)
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
    return Current(state, failures, _doubts(rows), unmeasured, unsupported)


def explain(request: CheckRequest, result: GateResult) -> tuple[list[LayerChange], list[str]]:
    """Which layers of the artifacts whose size changed became larger or smaller, largest change first.

    Returns:
        Changes, and remarks on what cannot be told.
    """
    baseline, manifest = Baseline.read(request.baseline), Manifest.read(request.folder)
    changes, notes = [], []
    for artifact in _sound(manifest):
        size = result.of(artifact.name).get("size")
        if size is None or size.before is None or size.before == size.now:
            continue
        before = baseline.artifacts[artifact.name].layers
        if not before:
            notes.append(f"the baseline has no sizes by layer of {artifact.name}")
            continue
        try:
            now = layer_sizes(request.folder / artifact.path)
        except EdgeclsError as error:
            notes.append(f"the layers of {artifact.name} cannot be read: {error}")
            continue
        found = [
            LayerChange(artifact.name, layer, before.get(layer), now.get(layer))
            for layer in {**before, **now}
            if before.get(layer) != now.get(layer)
        ]
        found.sort(key=lambda change: -abs((change.now or 0) - (change.before or 0)))
        changes += found
        if not found:
            notes.append(f"no layer of {artifact.name} of 1 % of the file or more changed: what grew is outside the weights")
    return changes, notes


def layer_sizes(path: Path) -> dict[str, int]:
    """Bytes by layer of an artifact, those of 1 % of the file or more; of operations that were fused the first is named."""
    description = describe(path)
    sizes: Counter[str] = Counter()
    for layer in description.layers:
        sizes[layer.name.partition(";")[0]] += layer.size_bytes
    return {name: size for name, size in sizes.items() if size >= _LAYER_SHARE * description.size_bytes}


def _budget(request: CheckRequest) -> Budget:
    if request.budget is not None:
        return Budget.read(request.budget)
    beside = request.baseline.with_name(BUDGET_NAME)
    return Budget.read(beside) if beside.is_file() else Budget()


def _sound(manifest: Manifest) -> list[Artifact]:
    return [artifact for artifact in manifest.artifacts if artifact.status == "ok"]


def _require_unchanged(path: Path, artifact: Artifact) -> None:
    reason = change_since_conversion(path, artifact)
    if reason:
        raise ArtifactError(f"{path} as its manifest tells of it", reason, "convert the model again")


def _report(request: CheckRequest, manifest: Manifest) -> Report | None:
    """The measurements, if there are any.

    Raises:
        GateError: they are not of these artifacts.
    """
    path = request.results or request.folder / RESULTS_NAME
    if request.results is None and not path.is_file():
        return None
    report = Report.read(path)
    expected, remedy = f"results of the artifacts in {request.folder}", _REMEASURE
    if report.source_sha256 != manifest.source.sha256:
        found = f"{path}: of another model" if report.source_sha256 else f"{path}, which lacks source_sha256"
        raise GateError(expected, found, remedy)
    if report.created < manifest.created:
        raise GateError(expected, f"{path}, written before the artifacts were", remedy)
    sizes = {artifact.name: artifact.size_bytes for artifact in _sound(manifest)}
    own = [row for row in report.measurements if row.artifact in sizes]
    if not own:
        raise GateError(expected, f"{path}: of none of them", remedy)
    for row in own:
        if row.size_bytes not in (0, sizes[row.artifact]):  # a phone may not know the size
            raise GateError(expected, f"{path}: {row.artifact} of {row.size_bytes:,} bytes, now {sizes[row.artifact]:,}", remedy)
    return report


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
        raise GateError("figures that a baseline can hold", first_fault(error), _REMEASURE) from None


def _rows(report: Report | None) -> dict[str, Measurement]:
    return {row.artifact: row for row in report.measurements} if report else {}


def _latency_reference(wanted: str | None, sound: list[Artifact], rows: dict[str, Measurement]) -> str | None:
    """The artifact latencies are divided by: the one asked for, else the first float32 one; None if it has no latency."""
    first = next((artifact.name for artifact in sound if artifact.scheme == "float32" and _p50(rows.get(artifact.name))), None)
    name = wanted or first
    return name if name and _p50(rows.get(name)) else None


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
