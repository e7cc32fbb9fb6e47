"""convert: model file -> LoadedModel -> frozen graph -> artifacts, each verified against the source, and a manifest."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecls.converters import CalibrationImages, Conversion, Job, Made, convert_jobs, plan_jobs
from edgecls.converters.onnx.input import check_layout
from edgecls.data import ImageSet, open_images
from edgecls.data.label_file import about_labels
from edgecls.data.multi_hot import require_fitting
from edgecls.data.pixel_file import write_pixels
from edgecls.data.synthetic import natural_pixels
from edgecls.errors import UnsupportedModelError
from edgecls.evaluation.examination import BATCH, Questions
from edgecls.quantization.accuracy_goal import AccuracyGoal
from edgecls.records.artifact import (
    REFERENCE_NAME,
    Artifact,
    DataSource,
    Head,
    Manifest,
)
from edgecls.records.counted import counted
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.records.note import note_on
from edgecls.records.recipe import BASE
from edgecls.records.variant import MODEL_NAME, Variant, VariantSet, is_variant
from edgecls.system.memory import few_collections, new_objects_alone, release_memory
from edgecls.system.store import staging
from edgecls.version import __version__
from edgecls.workflow.accuracy_goal import accuracy_goal, check_goal
from edgecls.workflow.content import remembered
from edgecls.workflow.convert_options import ConvertOptions, check_options, learns_ranges
from edgecls.workflow.opening import open_model
from edgecls.workflow.publication import publish
from edgecls.workflow.variants import learned_ranges, open_variant
from edgecls.workflow.verify import Pending, Verifier, is_done
from edgecls.workflow.workers import Workers

if TYPE_CHECKING:
    from edgecls.models import LoadedModel
    from edgecls.quantization.learned import LearnedRanges

CALIBRATION_BATCH = 4  # larger ones are no faster and take more memory
PARITY_IMAGES = 32
INT8_PARITY_IMAGES = 256  # its verdict is about shares of images, which a few tell badly
SYNTHETIC_IMAGES = 32
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


def convert(options: ConvertOptions, on_event: OnEvent = ignore, workers: Workers | None = None) -> Manifest:
    """Convert a model, verify every artifact and write the artifacts folder.

    Args:
        workers: of a conversion before, for several in a row; None to start and end its own.

    Raises:
        InputError: the job is refused, before any work where that is possible.
        StageError: reading or freezing the model failed. A single artifact that fails is a row of the manifest instead.
    """
    variant = open_variant(options.model) if is_variant(options.model) else None
    learned = variant.ranges is not None if variant else learns_ranges(options)
    jobs = plan_jobs(options.targets, options.schemes, calibrated=learned or options.calibration is not None)
    check_goal(options.mixed_precision, options.data, options.keep_float)
    check_options(options, jobs, variant)
    with staging(options.folder) as staged, contextlib.ExitStack() as stack, new_objects_alone():
        workers = workers or stack.enter_context(Workers())
        stack.push(workers.kill_if_failed)
        worker = workers.coreml if any(job.target == "coreml" for job in jobs) else None
        with few_collections():
            int8 = any(job.scheme == "int8" for job in jobs)
            source = _prepare(options, variant, staged, on_event, stack, int8=int8, learned=learned)
        release_memory()  # the model itself is not needed any more
        verifier = Verifier(source.record, workers.examining, worker, source.questions, source.int8_questions)
        for job in jobs:
            on_event(Event(job.target, job.scheme, total=1))
        conversion = Conversion(
            graph=source.graph,
            record=source.record,
            jobs=jobs,
            folder=staged,
            calibration=source.calibration,
            learned=source.learned,
            io=options.io,
            minimum_deployment_target=options.minimum_deployment_target,
            keep_float=options.keep_float,
            onnx_weights=options.onnx_weights,
            onnx_layout=options.onnx_layout,
            onnx_batch=options.onnx_batch,
            goal=source.goal,
            threads=options.threads,
        )
        manifest, files = source.manifest, []
        for made, artifact in _verified(convert_jobs(conversion, worker), verifier):
            manifest.notes += [note_on(artifact.name, note) for note in made.notes]
            manifest.details += [note_on(artifact.name, note) for note in made.details]
            manifest.artifacts.append(artifact)
            files += [(made.path, artifact.path)] if artifact.status != "failed" else []
            verdict = artifact.parity.verdict if artifact.parity else artifact.status
            on_event(Event(artifact.target, artifact.scheme, 1, 1, outcome=verdict))
        manifest.artifacts.sort(key=lambda row: jobs.index(Job(row.target, row.scheme)))  # as planned, not as finished
        if source.record.name == BASE and (reference := verifier.write_reference(staged / REFERENCE_NAME)):
            files.append((reference, REFERENCE_NAME))
        publish(options.folder, staged, manifest, files, source.record.name)
    return manifest


@dataclass(frozen=True)
class _Source:
    """All that conversion needs of the model, without the model.

    Attributes:
        manifest: of the run, still without artifacts.
        questions, int8_questions: what artifacts are compared on.
    """

    graph: FrozenGraph
    record: ArtifactMetadata
    calibration: CalibrationImages | None
    learned: LearnedRanges | None
    questions: Questions
    int8_questions: Questions
    goal: AccuracyGoal | None
    manifest: Manifest


def _prepare(
    options: ConvertOptions,
    variant: Variant | None,
    staged: Path,
    on_event: OnEvent,
    stack: contextlib.ExitStack,
    *,
    int8: bool,
    learned: bool,
) -> _Source:
    """`stack` closes what has to stay open as long as artifacts are compared; `learned`: training for int8 left ranges."""
    on_event(Event(f"reading {options.model.name}"))
    opened = open_model(options, options.model / MODEL_NAME if variant else None)
    model = opened.model.end_with(options.activation) if options.activation else opened.model
    settled = variant or options.base_of
    spec = settled.image_spec if settled else opened.spec
    check_layout(spec, options.onnx_layout)
    record = _record(model, spec, (settled or opened).labels, settled)
    on_event(Event("reading images"))
    calibration, sources, remarks = _open_data(options, spec, record, calibrating=int8)
    goal = accuracy_goal(options.mixed_precision, options.data, record, staged, options.threads, on_event)
    on_event(Event("asking the source model"))
    questions = _questions(options, model, spec, stack, PARITY_IMAGES)
    more = int8 and questions.kind == "images"  # synthetic ones are the same, however many are asked for
    int8_questions = _questions(options, model, spec, stack, INT8_PARITY_IMAGES) if more else questions
    on_event(Event("freezing the graph"))
    manifest = Manifest(
        created=datetime.datetime.now(datetime.UTC),
        edgecls_version=__version__,
        source=settled.source if settled else model.source,
        image_spec=spec,
        labels=record.labels,
        labels_source=(settled or opened).labels_source,
        output_kind=model.output_kind,
        outputs=model.outputs,
        heads=model.heads,
        toolchain=toolchain(),
        repairs=model.repairs,
        notes=[*model.notes, *_about_scores(model), *about_labels(record.labels), *remarks],
        data=sources,
        recipes={variant.name: variant.recipe} if variant else {},
        artifacts=[],
    )
    ranges = None
    if int8 and (variant or learned):
        ranges = learned_ranges(variant, model, spec.apply(questions.pixels.read(0, PARITY_IMAGES)))
    return _Source(model.freeze(staged), record, calibration, ranges, questions, int8_questions, goal, manifest)


def toolchain() -> dict[str, str]:
    """Installed versions of everything that touches an artifact."""
    versions = {"edgecls": __version__}
    for package in TOOLCHAIN:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _record(model: LoadedModel, spec: ImageSpec, labels: list[str], settled: Variant | VariantSet | None) -> ArtifactMetadata:
    return ArtifactMetadata(
        name=settled.name if isinstance(settled, Variant) else BASE,
        image_spec=spec,
        labels=labels,
        outputs=model.outputs,
        output_kind=model.output_kind,
        source_sha256=settled.source.sha256 if settled else model.source.sha256,
        edgecls_version=__version__,
        source_name=model.source.name,
        heads=model.heads,
    )


def _about_scores(model: LoadedModel) -> list[str]:
    """Which of several heads classifies; that scores are no probabilities, or were made probabilities."""
    return [*_about_heads(model.heads), *_about_kind(model)]


def _about_heads(heads: list[Head]) -> list[str]:
    if not heads:
        return []
    names = ", ".join(head.name if head.name == head.output else f"{head.name} (as {head.output})" for head in heads)
    return [f"{len(heads)} outputs in this order: {names}; the first classifies: labels, bench, check and diagnose are about it"]


def _about_kind(model: LoadedModel) -> list[str]:
    if model.activation:
        return [f"every file ends with a {model.activation} that the model itself does not have (--add-{model.activation})"]
    if model.output_kind != "logits":
        return []
    if model.outputs == 1:
        return [
            "the score is a logit, not a probability: the model ends without a sigmoid; --add-sigmoid ends every file with one"
        ]
    return [
        "the scores are logits, not probabilities: the model ends without a softmax; --add-softmax ends every file with one "
        "(--add-sigmoid where several classes can be true at once)"
    ]


def _open_data(
    options: ConvertOptions, spec: ImageSpec, record: ArtifactMetadata, *, calibrating: bool
) -> tuple[CalibrationImages | None, list[DataSource], list[str]]:
    """Calibration images, what the manifest remembers of all images, and remarks on them."""
    sources, notes, calibration = [], [], None
    if options.calibration:
        images = open_images(
            options.calibration, spec, role="calibration", labels=record.labels, limit=options.calibration_images
        )
        if calibrating:
            calibration = _calibration(images, spec, options)
            notes = [f"calibration images: {images.note}"] if images.decode().note else []
        count = len(images) if calibrating else images.candidates
        sources.append(DataSource(path=remembered(options.calibration), role="calibration", images=count))
    if options.data:
        measured = open_images(options.data, spec, role="data", labels=record.labels)
        require_fitting(measured, record.output_kind, record.outputs)
        sources.append(DataSource(path=remembered(options.data), role="data", images=measured.candidates))
    return calibration, sources, notes


def _calibration(images: ImageSet, spec: ImageSpec, options: ConvertOptions) -> CalibrationImages:
    return CalibrationImages(
        lambda: (spec.apply(pixels) for pixels in images.batches(CALIBRATION_BATCH)), options.estimator, options.effort
    )


def _questions(
    options: ConvertOptions, model: LoadedModel, spec: ImageSpec, stack: contextlib.ExitStack, limit: int
) -> Questions:
    """What artifacts are compared on, some of the user's images where there are any, and the source model's answers."""
    path = options.data or options.calibration
    if path is None or not options.verify:
        kind, pixels = "synthetic", stack.enter_context(write_pixels(natural_pixels(spec, SYNTHETIC_IMAGES))).finish()
    else:
        images = open_images(path, spec, role="data" if options.data else "calibration", limit=limit)
        stack.callback(images.close)
        kind, pixels = "images", images.pixels
    if not options.verify:
        return Questions(pixels, kind, [])
    batches = [model.predict_heads(spec.apply(batch)) for batch in pixels.batches(BATCH)]
    scores = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    _require_numbers(scores)
    return Questions(pixels, kind, scores)


def _require_numbers(scores: list[np.ndarray]) -> None:
    """Refuse a source model whose scores no artifact can be held against.

    Raises:
        UnsupportedModelError: some are NaN or infinite.
    """
    sound = np.all([np.isfinite(head).all(axis=1) for head in scores], axis=0)
    if not sound.all():
        raise UnsupportedModelError(
            "a model whose scores are numbers",
            f"NaN or infinity in its scores of {np.count_nonzero(~sound)} of {counted(len(sound), 'image')}",
            "give an earlier checkpoint, or say with --preprocess how pixels enter it",
        )


def _verified(made: Iterator[Made], verifier: Verifier) -> Iterator[tuple[Made, Artifact]]:
    """Verify each artifact in the verifier's own process while the next one is being made; int8 ones also beside each other, at the end."""
    waiting: deque[tuple[Made, Pending]] = deque()
    siblings: list[tuple[Made, Artifact]] = []

    def finished(*, all_of_them: bool) -> Iterator[tuple[Made, Artifact]]:
        while waiting and (all_of_them or is_done(waiting[0][1])):
            item, pending = waiting.popleft()
            row = verifier.finish(item, pending)
            if row.scheme == "int8":
                siblings.append((item, row))
            else:
                yield item, row

    for newest in made:
        waiting.append((newest, verifier.start(newest)))
        yield from finished(all_of_them=False)
    yield from finished(all_of_them=True)
    rows = verifier.hold_together([row for _, row in siblings])
    yield from zip((item for item, _ in siblings), rows, strict=True)
