"""convert: model file -> LoadedModel -> frozen graph -> artifacts, each verified against the source, and a manifest."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from edgecls import __version__
from edgecls.artifact import (
    REFERENCE_NAME,
    TARGETS,
    Artifact,
    DataSource,
    Manifest,
    Target,
)
from edgecls.converters import Calibration, Conversion, Estimator, Job, Made, convert_jobs, plan_jobs
from edgecls.converters.conversion import coreml_worker
from edgecls.data import open_images
from edgecls.data.label_file import default_labels, read_labels
from edgecls.errors import DataError, EdgeclsError
from edgecls.image_spec import ImageSpec
from edgecls.metadata import ArtifactMetadata
from edgecls.store import publish, staging, write_manifest
from edgecls.workflow.verify import Pending, Verifier, is_done

if TYPE_CHECKING:
    from edgecls.models import LoadedModel

PARITY_IMAGES = 32
TOOLCHAIN = (
    "tensorflow",
    "keras",
    "tf-keras",
    "ai-edge-litert",
    "litert-quantizer",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "coremltools",
)


class Progress(Protocol):
    """Told what happens, so that a command line can show it."""

    def stage(self, text: str) -> None:
        """A step begins."""
        ...

    def plan(self, jobs: list[Job]) -> None:
        """These artifacts will be made."""
        ...

    def finish(self, artifact: Artifact) -> None:
        """An artifact is made and verified, or failed."""
        ...


@dataclass(frozen=True)
class ConvertOptions:
    """What `edgecls convert` was asked.

    Attributes:
        model: file or folder.
        output: artifacts folder, None for `<model>.artifacts` beside the working directory.
        schemes: as the user wrote them, None for all that are possible.
        calibration: images that int8 ranges are measured on.
        data: labelled images that `bench` should use later; also used to verify.
    """

    model: Path
    output: Path | None = None
    targets: tuple[Target, ...] = TARGETS
    schemes: str | None = None
    calibration: Path | None = None
    calibration_images: int = 500
    data: Path | None = None
    labels: Path | None = None
    weights: Path | None = None
    preprocess: str | None = None
    model_output: str | None = None
    io: Literal["float32", "int8"] = "float32"
    estimator: Estimator | None = None
    minimum_deployment_target: str | None = None
    allow_code: bool = False
    verify: bool = True
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def folder(self) -> Path:
        """Where the artifacts go."""
        return self.output or Path(f"{self.model.name.removesuffix('/')}.artifacts")


def convert(options: ConvertOptions, progress: Progress | None = None) -> Manifest:
    """Convert a model, verify every artifact and write the artifacts folder.

    Raises:
        InputError: the job is refused, before any work where that is possible.
        StageError: reading or freezing the model failed. A single artifact that fails is a row of the manifest instead.
    """
    tell = progress or _Silent()
    jobs = plan_jobs(options.targets, options.schemes, calibrated=options.calibration is not None)
    _require_paths(options)
    with staging(options.folder) as staged, contextlib.ExitStack() as stack:
        worker = stack.enter_context(coreml_worker()) if any(job.target == "coreml" for job in jobs) else None
        tell.stage(f"reading {options.model.name}")
        model = _load(options)
        spec = _image_spec(model, options)
        record, labels_source = _record(model, spec, options)
        calibration, sources = _open_data(options, spec, record.labels)
        tell.stage("freezing the graph")
        graph = model.freeze(staged)
        verifier = stack.enter_context(Verifier(model, record, worker, _parity_images(options, spec), enabled=options.verify))
        tell.plan(jobs)
        conversion = Conversion(
            graph=graph,
            record=record,
            jobs=jobs,
            folder=staged,
            calibration=calibration,
            io=options.io,
            minimum_deployment_target=options.minimum_deployment_target,
            threads=options.threads,
        )
        artifacts, notes = [], [*model.notes]
        for made, artifact in _verified(convert_jobs(conversion, worker), verifier):
            notes += [f"{artifact.name}: {note}" for note in made.notes]
            artifacts.append(_publish(made, artifact, options.folder))
            tell.finish(artifacts[-1])
        if verifier.reference is not None:
            publish(verifier.write_reference(staged / REFERENCE_NAME), options.folder / REFERENCE_NAME)
        manifest = Manifest(
            created=datetime.datetime.now(datetime.UTC),
            edgecls_version=__version__,
            source=model.source,
            image_spec=spec,
            labels=record.labels,
            labels_source=labels_source,
            output_kind=model.output_kind,
            outputs=model.outputs,
            toolchain=toolchain(),
            repairs=model.repairs,
            notes=notes,
            data=sources,
            artifacts=_with_previous(artifacts, record, options.folder),
        )
        write_manifest(options.folder, manifest)
    return manifest


def toolchain() -> dict[str, str]:
    """Installed versions of everything that touches an artifact."""
    versions = {"edgecls": __version__}
    for package in TOOLCHAIN:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


class _Silent:
    def stage(self, text: str) -> None: ...

    def plan(self, jobs: list[Job]) -> None: ...

    def finish(self, artifact: Artifact) -> None: ...


def _require_paths(options: ConvertOptions) -> None:
    for flag, path in (("--calibration", options.calibration), ("--data", options.data), ("--labels", options.labels)):
        if path is not None and not path.exists() and str(path) != "digits":
            raise DataError(f"a file or folder for {flag}", f"nothing at {path}", "check the path")


def _load(options: ConvertOptions) -> LoadedModel:
    from edgecls.models import load_model

    return load_model(options.model, weights=options.weights, allow_code=options.allow_code, output=options.model_output)


def _image_spec(model: LoadedModel, options: ConvertOptions) -> ImageSpec:
    return model.image_spec.with_preprocess(options.preprocess) if options.preprocess else model.image_spec


def _record(model: LoadedModel, spec: ImageSpec, options: ConvertOptions) -> tuple[ArtifactMetadata, Literal["file", "default"]]:
    classes = max(model.outputs, 2)  # one sigmoid output decides between two classes
    labels = read_labels(options.labels, classes) if options.labels else default_labels(classes)
    record = ArtifactMetadata(
        name="base",
        image_spec=spec,
        labels=labels,
        outputs=model.outputs,
        output_kind=model.output_kind,
        source_sha256=model.source.sha256,
        edgecls_version=__version__,
    )
    return record, "file" if options.labels else "default"


def _open_data(options: ConvertOptions, spec: ImageSpec, labels: list[str]) -> tuple[Calibration | None, list[DataSource]]:
    sources, calibration = [], None
    if options.calibration:
        images = open_images(options.calibration, spec, role="calibration", labels=labels, limit=options.calibration_images)
        calibration = Calibration(lambda: (spec.apply(pixels) for pixels in images.batches(8)), options.estimator)
        sources.append(DataSource(path=str(options.calibration.absolute()), role="calibration", images=images.candidates))
    if options.data:
        images = open_images(options.data, spec, role="data", labels=labels)
        sources.append(DataSource(path=str(options.data.absolute()), role="data", images=images.candidates))
    return calibration, sources


def _parity_images(options: ConvertOptions, spec: ImageSpec) -> np.ndarray | None:
    """Pixels [n, H, W, C] of the user's images, None where there are none."""
    path = options.data or options.calibration
    if path is None or not options.verify:
        return None
    role = "data" if options.data else "calibration"
    return np.concatenate(list(open_images(path, spec, role=role, limit=PARITY_IMAGES).batches()))


def _verified(made: Iterator[Made], verifier: Verifier) -> Iterator[tuple[Made, Artifact]]:
    """Verify each artifact in the verifier's own process while the next one is being made."""
    waiting: deque[tuple[Made, Pending]] = deque()
    for newest in made:
        waiting.append((newest, verifier.start(newest)))
        while waiting and is_done(waiting[0][1]):
            item, pending = waiting.popleft()
            yield item, verifier.finish(item, pending)
    for item, pending in waiting:
        yield item, verifier.finish(item, pending)


def _publish(made: Made, artifact: Artifact, folder: Path) -> Artifact:
    """Move a file into the artifacts folder; a rejected one under a name of its own."""
    if artifact.status == "failed":
        return artifact
    target = folder / artifact.path
    publish(made.path, target)
    if artifact.status == "rejected":
        accepted = target.with_name(target.name.removesuffix(".rejected"))
        if accepted.exists():  # a stale artifact of an earlier run must not pass for this one
            shutil.rmtree(accepted) if accepted.is_dir() else accepted.unlink()
    return artifact


def _with_previous(artifacts: list[Artifact], record: ArtifactMetadata, folder: Path) -> list[Artifact]:
    """Keep the rows of an earlier run of the same model with the same labels and preprocessing that were not made again."""
    try:
        previous = Manifest.read(folder)
    except EdgeclsError:
        return artifacts
    same = (previous.source.sha256, previous.labels, previous.image_spec) == (
        record.source_sha256,
        record.labels,
        record.image_spec,
    )
    made = {artifact.name for artifact in artifacts}
    kept = [artifact for artifact in previous.artifacts if same and artifact.name not in made and artifact.status == "ok"]
    return [*artifacts, *(artifact for artifact in kept if (folder / artifact.path).exists())]
