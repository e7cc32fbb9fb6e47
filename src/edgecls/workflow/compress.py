"""compress: model file -> flat tf_keras model -> variants, each trained, checked and written to a folder of its own."""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecls.compression import StageJob, StageResult, TrainingImages, copy_model, evaluate, train_stage
from edgecls.data.label_file import about_labels
from edgecls.errors import ArtifactError, EdgeclsError, OutputError
from edgecls.formats import sha256
from edgecls.records.artifact import LabelsSource
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import (
    STAGE_FIELDS,
    Recipe,
    Stage,
    control_stages,
    fingerprint,
    variant_name,
)
from edgecls.records.variant import MODEL_NAME, VARIANT_NAME, VARIANTS_NAME, Epoch, Variant, VariantSet, is_variant
from edgecls.reporting.variants import describe_epoch
from edgecls.system.store import changing, staging
from edgecls.training.checkpoint import another_checkpoint, is_of
from edgecls.version import __version__
from edgecls.workflow.before_training import check_before_training
from edgecls.workflow.content import content_hash, remembered
from edgecls.workflow.labelled_images import facts_on, notes_on, open_labelled_images
from edgecls.workflow.opening import ModelOptions, open_model, require_paths
from edgecls.workflow.variants import open_variant

if TYPE_CHECKING:
    from edgecls.models import LoadedModel

_PROOF_IMAGES = 32


@dataclass(frozen=True)
class CompressOptions(ModelOptions):
    """What `edgecls compress` was asked.

    Attributes:
        data: labelled images to train on.
        output: folder of variants, None for `<model>.variants` in the working directory.
        resume: keep finished variants, and go on from checkpoints, where recipe, model and data are the same.
        anew: with `resume`, begin anew where a checkpoint is of others; that is refused else.
        watch: told every epoch; what it raises ends the training, whose checkpoint stays.
    """

    data: Path
    recipe: Recipe
    output: Path | None = None
    resume: bool = False
    anew: bool = False
    watch: Callable[[Epoch], None] = field(default=lambda epoch: None)

    @property
    def folder(self) -> Path:
        """Where the variants go."""
        return self.output or Path(f"{self.model.resolve().name}.variants")


def names_option(remedy: str) -> bool:
    """Whether a remedy names an option, which another command than `compress` may lack."""
    return any(word.startswith("-") for word in remedy.split())


@contextlib.contextmanager
def resumed_by_itself() -> Iterator[None]:
    """For a command that compresses with `resume` whenever it is called: it lacks options that a full disk advises, --resume and -o."""
    try:
        yield
    except OutputError as error:
        if not names_option(error.remedy):
            raise
        remedy = "make room and permission there; the same command goes on where it stopped"
        raise OutputError(error.expected, error.found, remedy) from None


def compress(options: CompressOptions, on_event: OnEvent = ignore) -> VariantSet:
    """Make every variant a recipe asks for, and write the folder of variants.

    Raises:
        InputError: a model that cannot be trained, data that do not fit it, or a place that cannot be written; before any training.
        CompressionError: training diverged, or did not reach what was asked. Variants finished before stay, and `resume` goes on there.
    """
    require_paths({"--data": options.data, "--labels": options.labels})
    on_event(Event(f"reading {options.model.name}"))
    base = _open_base(options, on_event)
    on_event(Event("judging the base"))
    loss, accuracy = evaluate(base.flat, base.images, base.loaded.output_kind, base.loaded.outputs)
    done = VariantSet(
        created=datetime.datetime.now(datetime.UTC),
        edgecls_version=__version__,
        source=base.loaded.source,
        model=str(options.model.absolute()),
        weights=str(options.weights.absolute()) if options.weights else None,
        custom_objects=str(options.custom_objects.absolute()) if options.custom_objects else None,
        image_spec=base.spec,
        labels=base.labels,
        labels_source=base.labels_source,
        data=remembered(options.data),
        images=len(base.images.trained),
        held_out_images=len(base.images.held_out),
        recipe=options.recipe,
        measure=base.images.measure,
        base_accuracy=accuracy,
        base_loss=loss,
        notes=base.notes,
        variants=[],
    )
    jobs = [_job(base, options, name, stages, on_event) for name, stages in options.recipe.wanted.items()]
    with staging(options.folder):  # a place that cannot be written is told of before any training
        _check_checkpoints(options, jobs, on_event)
    foreign = _foreign(options.folder, done)
    for index, job in enumerate(jobs):
        name = job.name
        done.variants.append(name)
        if options.resume and _is_finished(options.folder / name, job.fingerprint):
            on_event(Event("training", name, remark=f"{name}: unchanged, kept"))
            trained = None
        else:
            on_event(Event(f"training {name} ({index + 1} of {len(jobs)})"))
            if not options.resume:  # those of later rounds would be met by who resumes this run
                _remove(_checkpoints(options.folder, name))
            trained = _train(base, job)
        _write(options.folder, done, trained, foreign)
        _remove(_checkpoints(options.folder, name))
    return done


@dataclass(frozen=True)
class _Base:
    """The model everything starts from.

    Attributes:
        flat: its rebuild on tf_keras, never trained itself.
        facts: what results depend on beside the recipe, as text.
    """

    loaded: LoadedModel
    flat: Any
    spec: ImageSpec
    labels: list[str]
    labels_source: LabelsSource
    images: TrainingImages
    notes: list[str]
    facts: tuple[str, ...]


def _open_base(options: CompressOptions, on_event: OnEvent) -> _Base:
    from edgecls.models.rebuild import rebuild

    begun = open_model(options)
    loaded, spec, labels = begun.model, begun.spec, begun.labels
    on_event(Event("reading images"))
    images = open_labelled_images(options.data, spec, loaded, labels, options.recipe.training)
    on_event(Event("rebuilding the model for training"))
    proof = next(islice(images.calibration(_PROOF_IMAGES), 1))
    rebuilt = rebuild(loaded, proof)
    on_event(Event("checking the recipe"))
    check_before_training(rebuilt.model, options.recipe.wanted.values(), proof)
    facts = (loaded.source.sha256, content_hash(options.data), spec.model_dump_json(), *labels, __version__, *facts_on(images))
    notes = [*loaded.notes, *about_labels(labels), *rebuilt.notes, *notes_on(images)]
    return _Base(loaded, rebuilt.model, spec, labels, begun.labels_source, images, notes, facts)


def _job(base: _Base, options: CompressOptions, name: str, stages: tuple[Stage, ...], on_event: OnEvent) -> StageJob:
    """What to train for a variant; its start is read when it begins."""
    training = options.recipe.training
    if as_long_as := control_stages(name):
        training = training.model_copy(update={"epochs": training.epochs * as_long_as})

    def on_epoch(epoch: Epoch) -> None:
        on_event(Event("training", name, remark=describe_epoch(epoch)))
        options.watch(epoch)

    return StageJob(
        name=name,
        start=lambda: _start(base, options.folder, stages),
        stages=stages,
        training=training,
        images=base.images,
        kind=base.loaded.output_kind,
        outputs=base.loaded.outputs,
        teacher=base.flat,
        checkpoint=options.folder / f".{name}.checkpoint.npz",
        fingerprint=fingerprint(name, training, *stages, *base.facts),
        resume=options.resume,
        on_step=lambda done, total: on_event(Event("training", name, done, total)),
        on_epoch=on_epoch,
    )


def _check_checkpoints(options: CompressOptions, jobs: Sequence[StageJob], on_event: OnEvent) -> None:
    """Find out which training cannot be gone on with before the first one begins, which may take hours.

    Raises:
        OutputError: a checkpoint cannot be read.
        RecipeError: one is of another recipe, model or data.
    """
    for job in jobs if options.resume else ():
        if _is_finished(options.folder / job.name, job.fingerprint):
            continue  # what another recipe has left beside it goes with the others of that name
        strangers = [path for path in _checkpoints(options.folder, job.name) if not is_of(path, job.fingerprint)]
        if strangers and not options.anew:
            raise another_checkpoint(strangers[0])
        _remove(strangers)
        if strangers:
            on_event(Event("training", job.name, remark=f"{job.name}: begun with another recipe, model or data, and begins anew"))


def _checkpoints(folder: Path, name: str) -> list[Path]:
    """Those of a variant, of each of its rounds where it has some."""
    own = re.compile(re.escape(f".{name}") + r"(\.\d+\.(round|training))?\.checkpoint\.npz")
    return sorted(path for path in folder.glob(".*.checkpoint.npz") if own.fullmatch(path.name))


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink()


def _start(base: _Base, folder: Path, stages: tuple[Stage, ...]) -> Any:
    """The model that a variant starts from: the base, or the variant of one stage less."""
    from edgecls.models import load_model

    if len(stages) < 2:
        return copy_model(base.flat)
    before = folder / variant_name(stages[:-1])
    open_variant(before)
    return load_model(before / MODEL_NAME).model


def _train(base: _Base, job: StageJob) -> tuple[Variant, Any]:
    started = time.perf_counter()
    result = train_stage(job)
    return _record(base, job, result, time.perf_counter() - started), result.model


def _record(base: _Base, job: StageJob, result: StageResult, seconds: float) -> Variant:
    stages: dict[str, Any] = {STAGE_FIELDS[type(stage)]: stage for stage in job.stages}
    return Variant(
        name=job.name,
        **stages,
        training=job.training,
        source=base.loaded.source,
        image_spec=base.spec,
        labels=base.labels,
        labels_source=base.labels_source,
        output_kind=base.loaded.output_kind,
        outputs=base.loaded.outputs,
        sha256="",
        fingerprint=job.fingerprint,
        edgecls_version=__version__,
        ranges=result.ranges,
        float_layers=result.float_layers,
        kernels=result.kernels,
        widths=result.widths,
        macs=result.macs,
        epochs=result.epochs,
        notes=result.notes,
        seconds=round(seconds, 1),
    )


def _write(folder: Path, done: VariantSet, trained: tuple[Variant, Any] | None, foreign: list[str]) -> None:
    """Put the record of the variants in place, with the one that was trained and without those of another model, in one step."""
    with staging(folder) as staged:
        place = _save(staged, *trained) if trained else None
        with changing(folder, staged) as change:
            if place:
                change.put(place, place.name)
            change.write(VARIANTS_NAME, done.to_json())
            change.remove([name for name in foreign if name not in done.variants])


def _save(staged: Path, variant: Variant, model: Any) -> Path:
    """The folder of a variant, finished."""
    place = staged / variant.name
    place.mkdir()
    model.save(place / MODEL_NAME)
    variant = variant.model_copy(update={"sha256": sha256(place / MODEL_NAME)})
    (place / VARIANT_NAME).write_text(variant.to_json(), encoding="utf-8")
    return place


def _is_finished(folder: Path, wanted: str) -> bool:
    try:
        return is_variant(folder) and open_variant(folder).fingerprint == wanted
    except ArtifactError:
        return False


def _foreign(folder: Path, new: VariantSet) -> list[str]:
    """The variants of another model that an earlier run left here, which go when the first of the new ones comes."""
    try:
        previous = VariantSet.read(folder)
    except EdgeclsError:
        return []
    if previous.source.sha256 == new.source.sha256:
        return []
    new.notes.append(f"replaced the variants of another model, {previous.source.name}: {', '.join(previous.variants)}")
    return previous.variants
