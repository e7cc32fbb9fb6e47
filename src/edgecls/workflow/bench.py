"""bench: an artifacts folder and files from elsewhere -> measurements -> results.json."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgecls.crew import BenchJob, BenchOptions, Failure, ImageSource, require_ready
from edgecls.data.digits import DIGITS_NAME
from edgecls.errors import ArtifactError, InputError
from edgecls.evaluation import dask_pool
from edgecls.evaluation.doubt import doubt_preprocessing
from edgecls.evaluation.pick import pick_artifacts
from edgecls.formats import change_since_conversion, detect
from edgecls.gate.budget import BUDGET_NAME
from edgecls.records.artifact import MANIFEST_NAME, REFERENCE_NAME, SUFFIXES, Artifact, DataSource, Manifest, Target
from edgecls.records.event import OnEvent, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.runners import open_exact, open_runner, open_stand_in, profile_artifact
from edgecls.system.machine import Machine, find_machines, read_machines
from edgecls.system.store import require_place, write_text
from edgecls.workflow.image_choices import ImageChoices, with_choices
from edgecls.workflow.measuring import bench_artifacts
from edgecls.workflow.results import RESULTS_NAME


@dataclass(frozen=True)
class BenchRequest:
    """What `edgecls bench` was asked.

    Attributes:
        folder: artifacts folder; None for the newest one here (unless `files` are named alone).
        files: artifacts from elsewhere, measured beside.
        data: labelled images; None for those the manifest remembers.
        output: where the results go; None for `results.json` in the folder.
        preprocess: overrides how pixels enter; `auto` tries the common choices on the labelled images.
        fit, filter: override how pictures become the model's size.
        limit: most images to measure accuracy on.
        scheduler: address of a Dask scheduler whose workers measure accuracy.
        machine: where to measure; None for here.
        within_points: percentage points of accuracy that an artifact worth shipping may lose; None: not distinguishable from float.
    """

    folder: Path | None = None
    files: tuple[Path, ...] = ()
    data: Path | None = None
    output: Path | None = None
    preprocess: str | None = None
    fit: str | None = None
    filter: str | None = None
    limit: int | None = None
    scheduler: str | None = None
    machine: Machine | None = None
    within_points: float | None = None
    options: BenchOptions = field(default_factory=BenchOptions)


def bench(request: BenchRequest, on_event: OnEvent = ignore) -> Report:
    """Measure every sound artifact of a folder, and files beside it, and write the results.

    Raises:
        InputError: nothing to measure, data that cannot be used, or no place to write the results to.
        WorkerError: the machine was lost before anything was measured.
    """
    folder = request.folder or (None if request.files else newest_folder(Path()))
    manifest = Manifest.read(folder) if folder else None
    output = results_path(request, folder)
    require_place(output, "the results", RESULTS_NAME)
    own = _own_jobs(folder, manifest)
    jobs = [*own, *_foreign_jobs(request.files, [job.name for job in own])]
    if not jobs:
        raise ArtifactError("artifacts to measure", f"none that passed verification in {folder}", "see its manifest.json for why")
    images, notes = images_of(request, manifest)
    asked = ImageChoices(request.preprocess, request.fit, request.filter)
    jobs, fitted = with_choices(jobs, asked, images, request.options)
    notes += fitted
    spec = _spec_used(jobs, manifest)
    reference = folder / REFERENCE_NAME if folder and (folder / REFERENCE_NAME).is_file() else None
    if reference and manifest and spec and not _same_preprocessing(spec, manifest.image_spec):
        reference = None
        notes.append("not compared with the source model's scores, which belong to the preprocessing of conversion")
    source = manifest.source.sha256 if manifest else None
    with dask_pool(request.scheduler) if request.scheduler else contextlib.nullcontext() as pool:
        report = bench_artifacts(
            jobs,
            images,
            request.options,
            on_event,
            open_runner=open_runner,
            open_stand_in=open_stand_in,
            open_exact=open_exact,
            profiler=profile_artifact,
            pool=pool,
            machine=request.machine,
            reference=reference,
            source_sha256=source,
        )
    picks = pick_artifacts(report.measurements, request.within_points)
    notes += report.notes
    if manifest and (doubt := doubt_preprocessing(report.measurements, spec, len(manifest.labels))):
        notes.append(doubt)
    report = report.model_copy(update={"notes": notes, "source_sha256": source, "image_spec": spec, "picks": picks})
    write_text(output, report.to_json())
    return report


def ready_machines(texts: Sequence[str], request: BenchRequest) -> list[Machine]:
    """The machines of `--on`, by name or as commands, each of which answers and has what measuring needs.

    Raises:
        InputError: one does not; or what else was asked goes with one machine alone, or with none.
    """
    if request.scheduler:
        raise InputError("accuracy on a cluster or on a machine", "--scheduler and --on", "leave one of them out")
    if request.output and len(texts) > 1:
        raise InputError(
            "a results file for each machine", f"one, -o {request.output}", "leave -o out: their names tell them apart"
        )
    machines = find_machines(texts, read_machines(Path(BUDGET_NAME)))
    for machine in machines:
        require_ready(machine)
    return machines


def own_failures(report: Report) -> list[Measurement]:
    """The folder's artifacts that failed, crashed or ran out of time. Files from elsewhere, whose scheme is unknown, do not count."""
    return [row for row in report.measurements if row.scheme and row.status not in ("ok", "unsupported")]


def has_failed(report: Report) -> bool:
    """Whether a command that measured has failed: by an artifact of the folder, or because nothing ran."""
    return bool(own_failures(report)) or not any(row.status == "ok" for row in report.measurements)


def results_path(request: BenchRequest, folder: Path | None) -> Path:
    """Where the results go: a file for each machine."""
    name = f"results-{request.machine.name}.json" if request.machine else RESULTS_NAME
    return request.output or (folder / name if folder else Path(name))


def newest_folder(here: Path) -> Path:
    """The artifacts folder written last in a directory.

    Raises:
        ArtifactError: there is none.
    """
    manifests = [path for path in here.glob(f"*/{MANIFEST_NAME}") if path.is_file()]
    manifests.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    ours = [path for path in manifests if _is_ours(path)]
    damaged = [path for path in manifests if path.parent.suffix == ".artifacts"]  # what is wrong with it is said when it is read
    if not ours and not damaged:
        raise ArtifactError(
            "an artifacts folder here",
            "none in this directory",
            "run `edgecls convert MODEL` first, or name the folder or the files",
        )
    return (ours or damaged)[0].parent


def _is_ours(path: Path) -> bool:
    """Whether it looks like a manifest of edgecls: other tools also write files of this name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"schema_version", "artifacts"} <= content.keys()


def _own_jobs(folder: Path | None, manifest: Manifest | None) -> list[BenchJob]:
    if folder is None or manifest is None:
        return []
    return [_own_job(folder, manifest, artifact) for artifact in manifest.artifacts if artifact.status == "ok"]


def _own_job(folder: Path, manifest: Manifest, artifact: Artifact) -> BenchJob:
    reason = change_since_conversion(folder / artifact.path, artifact)
    return BenchJob(
        name=artifact.name,
        path=folder / artifact.path,
        target=artifact.target,
        scheme=artifact.scheme,
        variant=artifact.variant,
        spec=manifest.image_spec,
        size_bytes=None if reason else artifact.size_bytes,
        compressed_bytes=None if reason else artifact.compressed_bytes,
        failure=Failure("failed", f"{reason}; convert again") if reason else None,
    )


def _foreign_jobs(files: tuple[Path, ...], taken: list[str]) -> list[BenchJob]:
    """Files from elsewhere, called as shortly as tells them apart: `net.tflite` and `net.onnx` keep their suffixes, two of one file name
    their folders."""
    targets: dict[Path, Target] = {path: detect(path) for path in files}
    names = [path.name.removesuffix(SUFFIXES[targets[path]]) for path in files]
    for parts in range(1, max((len(path.parts) for path in files), default=0) + 1):
        doubled = {name for name, times in Counter([*taken, *names]).items() if times > 1}
        longer = [Path(*path.parts[-parts:]).as_posix() for path in files]
        names = [new if name in doubled else name for name, new in zip(names, longer, strict=True)]
    return [BenchJob(name=name, path=path, target=targets[path], foreign=True) for name, path in zip(names, files, strict=True)]


def images_of(request: BenchRequest, manifest: Manifest | None) -> tuple[ImageSource | None, list[str]]:
    """The images asked for, or those the manifest remembers, and notes on them."""
    labels = tuple(manifest.labels) if manifest else None
    scores = (manifest.output_kind, manifest.outputs) if manifest else None
    if request.data is not None:
        return ImageSource(request.data, labels, request.limit, scores=scores), []
    sources = sorted(manifest.data if manifest else [], key=lambda source: source.role != "data")  # `--data` comes first
    remembered = next((source for source in sources if is_there(source)), None)
    if remembered is None:
        gone = ", ".join(dict.fromkeys(source.path for source in sources))
        why = f"the images remembered from conversion are gone ({gone})" if gone else "no images are known"
        return None, [f"{why}: name some with --data to measure accuracy"]
    path = Path(remembered.path)
    notes = [f"measured on {path}, remembered from conversion"]
    if remembered.role == "calibration" and path.is_dir():
        notes.append("these are the calibration images themselves: accuracy of int8 may look slightly better than on new images")
    return ImageSource(path, labels, request.limit, scores=scores), notes


def is_there(source: DataSource) -> bool:
    """Whether images that a manifest remembers can still be read."""
    return source.path == DIGITS_NAME or Path(source.path).exists()  # the bundled digits are no path


def _spec_used(jobs: list[BenchJob], manifest: Manifest | None) -> ImageSpec | None:
    """How images entered the folder's artifacts; Core ML's keep what is part of their program."""
    specs = [job.spec for job in jobs if not job.foreign and job.target != "coreml"]
    return specs[0] if specs else manifest.image_spec if manifest else None


def _same_preprocessing(one: ImageSpec, other: ImageSpec) -> bool:
    return (one.color_order, one.mean, one.std) == (other.color_order, other.mean, other.std)
