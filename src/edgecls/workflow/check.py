"""check: an artifacts folder and its measurements -> what of them breaks the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgecls.errors import ArtifactError, EdgeclsError
from edgecls.formats import require_unchanged
from edgecls.gate.baseline import BASELINE_NAME, Baseline
from edgecls.gate.budget import BUDGET_NAME, Budget
from edgecls.gate.judgement import Current, compare
from edgecls.gate.layer_growth import layer_changes, layer_sizes
from edgecls.gate.state import current_of, has_answers, with_answers
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.finding import GateResult, LayerChange
from edgecls.system.store import write_text
from edgecls.workflow.results import RESULTS_NAME, results_of


@dataclass(frozen=True)
class CheckRequest:
    """What `edgecls check` was asked.

    Attributes:
        folder: artifacts folder.
        baseline: the file to compare with, or to write.
        budget: None for `edgecls.toml` beside the baseline, if there is one.
        results: measurements; None for `results.json` in the folder, if there is one. Accuracy that they lack, as those of apps do, is
            taken from there.
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
    entries, unread = dict(current.state.artifacts), dict[str, list[str]]()
    for artifact in _sound(manifest):
        try:
            entries[artifact.name] = entries[artifact.name].model_copy(
                update={"layers": layer_sizes(request.folder / artifact.path)}
            )
        except EdgeclsError as error:
            unread.setdefault(str(error), []).append(artifact.name)
    notes += [f"sizes by layer of {', '.join(names)} are left out: {error}" for error, names in unread.items()]
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
        require_unchanged(request.folder / artifact.path, artifact)
    own = request.folder / RESULTS_NAME
    path = request.results or own
    report = results_of(path, request.folder, manifest) if request.results or path.is_file() else None
    if report and path != own and own.is_file() and not has_answers(report):  # an app measures time alone
        report = with_answers(report, results_of(own, request.folder, manifest))
        note = f"accuracy and flips are those of {own}: {path} has none"
        return replace(current_of(manifest, sound, report, latency_reference), notes=(note,))
    return current_of(manifest, sound, report, latency_reference)


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
        found = layer_changes(artifact.name, before, now)
        changes += found
        if not found:
            notes.append(f"no layer of {artifact.name} of 1 % of the file or more changed: what grew is outside the weights")
    return changes, notes


def _budget(request: CheckRequest) -> Budget:
    if request.budget is not None:
        return Budget.read(request.budget)
    beside = request.baseline.with_name(BUDGET_NAME)
    return Budget.read(beside) if beside.is_file() else Budget()


def _sound(manifest: Manifest) -> list[Artifact]:
    return [artifact for artifact in manifest.artifacts if artifact.status == "ok"]
