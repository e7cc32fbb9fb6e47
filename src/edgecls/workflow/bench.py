"""bench: an artifacts folder and files from elsewhere -> measurements -> results.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgecls.artifact import MANIFEST_NAME, REFERENCE_NAME, SUFFIXES, DataSource, Manifest
from edgecls.data import open_images
from edgecls.errors import ArtifactError, DataError, InputError
from edgecls.evaluation import BenchJob, BenchOptions, Event, ImageSource, bench_artifacts, fit_preprocess
from edgecls.formats import detect
from edgecls.image_spec import ImageSpec
from edgecls.measurement import Report
from edgecls.runners import open_runner
from edgecls.store import write_text

AUTO = "auto"
FIT_IMAGES = 500  # enough to tell preprocessings apart


@dataclass(frozen=True)
class BenchRequest:
    """What `edgecls bench` was asked.

    Attributes:
        folder: artifacts folder; None for the newest one here (unless `files` are named alone).
        files: artifacts from elsewhere, measured beside.
        data: labelled images; None for those the manifest remembers.
        output: where the results go; None for `results.json` in the folder.
        preprocess: overrides how pixels enter; `auto` tries the common choices on the labelled images.
        limit: most images to measure accuracy on.
    """

    folder: Path | None = None
    files: tuple[Path, ...] = ()
    data: Path | None = None
    output: Path | None = None
    preprocess: str | None = None
    limit: int | None = None
    options: BenchOptions = field(default_factory=BenchOptions)


def bench(request: BenchRequest, on_event: Callable[[Event], None] = lambda event: None) -> Report:
    """Measure every sound artifact of a folder, and files beside it, and write the results.

    Raises:
        InputError: nothing to measure, or data that cannot be used.
    """
    folder = request.folder or (None if request.files else newest_folder(Path()))
    manifest = Manifest.read(folder) if folder else None
    jobs = [*_own_jobs(folder, manifest), *_foreign_jobs(request.files)]
    if not jobs:
        raise ArtifactError("artifacts to measure", f"none that passed verification in {folder}", "see its manifest.json for why")
    images, notes = _images(request, manifest)
    if request.preprocess:
        jobs, fitted = _with_preprocess(jobs, request, images)
        notes += fitted
    reference = folder / REFERENCE_NAME if folder and (folder / REFERENCE_NAME).is_file() else None
    report = bench_artifacts(jobs, images, request.options, on_event, open_runner=open_runner, reference=reference)
    report = report.model_copy(
        update={
            "notes": [*notes, *report.notes],
            "source_sha256": manifest.source.sha256 if manifest else None,
            "image_spec": manifest.image_spec if manifest else None,
        }
    )
    write_text(results_path(request, folder), report.model_dump_json(indent=2) + "\n")
    return report


def results_path(request: BenchRequest, folder: Path | None) -> Path:
    """Where the results go."""
    return request.output or (folder / "results.json" if folder else Path("results.json"))


def newest_folder(here: Path) -> Path:
    """The artifacts folder written last in a directory.

    Raises:
        ArtifactError: there is none.
    """
    manifests = sorted(here.glob(f"*/{MANIFEST_NAME}"), key=lambda path: path.stat().st_mtime)
    if not manifests:
        raise ArtifactError(
            "an artifacts folder here",
            "none in this directory",
            "run `edgecls convert MODEL` first, or name the folder or the files",
        )
    return manifests[-1].parent


def _own_jobs(folder: Path | None, manifest: Manifest | None) -> list[BenchJob]:
    if folder is None or manifest is None:
        return []
    return [
        BenchJob(
            name=artifact.name,
            path=folder / artifact.path,
            target=artifact.target,
            scheme=artifact.scheme,
            variant=artifact.variant,
            spec=manifest.image_spec,
            size_bytes=artifact.size_bytes,
            compressed_bytes=artifact.compressed_bytes,
        )
        for artifact in manifest.artifacts
        if artifact.status == "ok"
    ]


def _foreign_jobs(files: tuple[Path, ...]) -> list[BenchJob]:
    jobs = []
    for path in files:
        target = detect(path)
        jobs.append(BenchJob(name=path.name.removesuffix(SUFFIXES[target]), path=path, target=target, foreign=True))
    return jobs


def _images(request: BenchRequest, manifest: Manifest | None) -> tuple[ImageSource | None, list[str]]:
    labels = tuple(manifest.labels) if manifest else None
    if request.data is not None:
        return ImageSource(request.data, labels, request.limit), []
    remembered = _remembered(manifest)
    if remembered is None:
        return None, ["no images are known: name some with --data to measure accuracy"]
    path = Path(remembered.path) if Path(remembered.path).exists() else Path(Path(remembered.path).name)
    notes = [f"measured on {path}, remembered from conversion"]
    if remembered.role == "calibration" and path.is_dir():
        notes.append("these are the calibration images themselves: accuracy of int8 may look slightly better than on new images")
    return ImageSource(path, labels, request.limit), notes


def _remembered(manifest: Manifest | None) -> DataSource | None:
    """The images a manifest knows, `--data` before `--calibration`; the bundled digits need no path."""
    sources = sorted(manifest.data if manifest else [], key=lambda source: source.role != "data")
    return next((source for source in sources if Path(source.path).exists() or Path(source.path).name == "digits"), None)


def _with_preprocess(jobs: list[BenchJob], request: BenchRequest, images: ImageSource | None) -> tuple[list[BenchJob], list[str]]:
    notes, changed, chosen = [], [], request.preprocess or ""
    for job in jobs:
        if job.target == "coreml":  # its preprocessing is part of the program
            changed.append(job)
            continue
        spec = job.spec or open_runner(job.path).spec
        if request.preprocess == AUTO and not notes:
            chosen, note = _fit(job, spec, request, images)
            notes.append(note)
        provenance: Literal["fitted", "declared"] = "fitted" if request.preprocess == AUTO else "declared"
        changed.append(BenchJob(**{**vars(job), "spec": spec.with_preprocess(chosen, provenance)}))
    return changed, notes


def _fit(job: BenchJob, spec: ImageSpec, request: BenchRequest, images: ImageSource | None) -> tuple[str, str]:
    if images is None:
        raise DataError("labelled images for --preprocess auto", "none", "name them with --data")
    if spec.provenance == "in-model":
        raise InputError(
            "a model without preprocessing of its own", f"{job.name}, which takes pixels as they are", "leave --preprocess out"
        )
    opened = open_images(images.path, spec, role="data", labels=images.labels, limit=images.limit or FIT_IMAGES)
    ranked = fit_preprocess(job.path, opened, open_runner=open_runner, spec=spec, options=request.options)
    figures = ", ".join(f"{choice} {top1:.1%}" for choice, top1 in ranked)
    best = ranked[0][0]
    return best, f"preprocessing {best} fits best (top-1 of {job.name}: {figures}); convert with --preprocess={best}"
