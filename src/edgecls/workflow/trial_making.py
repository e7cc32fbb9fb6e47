"""What a search does in a process of its own, here or on a cluster: prepares the images, and makes candidates: compress, then convert."""

from __future__ import annotations

import functools
import shutil
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from edgecls.errors import EdgeclsError
from edgecls.records.artifact import Manifest, OutputKind, Target
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import ChannelPruning, Training, variant_name
from edgecls.records.trial import Candidate
from edgecls.records.variant import Epoch, Variant
from edgecls.search import LossBar
from edgecls.search.space import CHANNEL_SHARES
from edgecls.workflow.compress import CompressOptions, compress, resumed_by_itself
from edgecls.workflow.content import content_hash
from edgecls.workflow.convert import convert
from edgecls.workflow.convert_options import ConvertOptions
from edgecls.workflow.held_out import write_halves
from edgecls.workflow.labelled_images import facts_on, notes_on, open_labelled_images
from edgecls.workflow.opening import ModelOptions, open_model
from edgecls.workflow.workers import Workers

VARIANTS, ARTIFACTS = "variants", "artifacts"  # folders of a trial
_PROOF_IMAGES = 8
_OPENING = [name for name in ModelOptions.__dataclass_fields__ if name != "model"]  # of a variant they are settled


@dataclass(frozen=True)
class Prepared:
    """What a search knows of its model and images.

    Attributes:
        halves: images in the choosing and in the judging half.
        set_apart: whether they are a part of their own.
        refusal: why nothing can be trained; empty where it can.
        multiples: share of the multiply-accumulates that can go with channels -> multiple of channels with which it can.
        facts: what results depend on beside the candidate, as text.
        notes: what a person should know.
    """

    spec: ImageSpec
    labels: tuple[str, ...]
    output_kind: OutputKind
    outputs: int
    source_sha256: str
    halves: tuple[int, int]
    set_apart: bool
    refusal: str
    multiples: dict[float, int]
    facts: tuple[str, ...]
    notes: list[str]


@dataclass(frozen=True)
class TrialJob:
    """What to make.

    Attributes:
        model: how the user's model is opened.
        data: images to train and calibrate on.
        folder: of the trial.
        choosing: archive of the half that chooses.
        bar: the held-out loss at which its training is given up.
        finished: variants that other trials have trained, which this one may start from.
    """

    model: ModelOptions
    data: Path
    calibration_images: int
    candidate: Candidate
    targets: tuple[Target, ...]
    folder: Path
    choosing: Path
    bar: LossBar = field(default_factory=LossBar)
    finished: tuple[Path, ...] = ()


@dataclass(frozen=True)
class MadeTrial:
    """What was made.

    Attributes:
        manifest: of the artifacts; None where the training was given up.
        held_out_loss: after each epoch of the last stage.
        trained: stages that were trained, and not kept.
    """

    manifest: Manifest | None
    held_out_loss: list[float] = field(default_factory=list)
    trained: int = 0
    seconds: float = 0.0
    reason: str = ""


class _GivenUpError(Exception):
    """A training that is hopeless."""


def prepare(options: ModelOptions, data: Path, training: Training, folder: Path) -> Prepared:
    """Open the model and its images, write the halves, and find out what can be trained.

    Raises:
        InputError: a model or data that cannot be used: no labels, a single class, too few images.
    """
    begun = open_model(options)
    loaded, spec, labels = begun.model, begun.spec, begun.labels
    images = open_labelled_images(data, spec, loaded, labels, training)
    own = "add images to the part of them that is held out"
    more = own if images.set_apart else "hold more out: --held-out 0.4, or give more images"
    halves = write_halves(images.held_out, spec, folder, more)
    refusal, multiples = _trainable(loaded, next(islice(images.calibration(_PROOF_IMAGES), 1)))
    facts = (loaded.source.sha256, content_hash(data), spec.model_dump_json(), *labels, *facts_on(images))
    notes = [*loaded.notes, *notes_on(images)]
    notes += [spec.note] if spec.provenance == "assumed" else []
    return Prepared(
        spec,
        tuple(labels),
        loaded.output_kind,
        loaded.outputs,
        loaded.source.sha256,
        halves,
        images.set_apart,
        refusal,
        multiples,
        facts,
        notes,
    )


def make_trial(job: TrialJob) -> MadeTrial:
    """Train what a candidate says, and convert it.

    Raises:
        InputError: the candidate cannot be made of this model.
        StageError: training diverged, or conversion failed as a whole.
        OutputError: a full disk.
    """
    started, candidate = time.monotonic(), job.candidate
    options: dict[str, Any] = {name: getattr(job.model, name) for name in _OPENING}
    losses, trained, model = [], 0, job.model.model
    if candidate.recipe is not None:
        known = _take_over(job)
        losses, reason = _train(job, options)
        made = [variant_name(candidate.stages[:length]) for length in range(1, len(candidate.stages) + 1)]
        trained = len([name for name in made or [candidate.variant] if name not in known])
        if reason:
            return MadeTrial(None, losses, trained, time.monotonic() - started, reason)
        model, options = job.folder / VARIANTS / candidate.variant, {"allow_code": job.model.allow_code}
    manifest = convert(
        ConvertOptions(
            model=model,
            output=job.folder / ARTIFACTS,
            targets=job.targets,
            schemes=candidate.scheme,
            calibration=job.data if candidate.scheme == "int8" else None,
            calibration_images=job.calibration_images,
            data=job.choosing,
            estimator=candidate.estimator,
            mixed_precision=candidate.mixed_precision,
            **options,
        ),
        workers=_workers(),
    )
    return MadeTrial(manifest, losses, trained, time.monotonic() - started)


@functools.cache
def _workers() -> Workers:
    """Kept from one trial to the next; they end with this process."""
    return Workers()


def _take_over(job: TrialJob) -> set[str]:
    """Copy the variants that others have trained; names of all that are there then."""
    folder = job.folder / VARIANTS
    folder.mkdir(parents=True, exist_ok=True)
    for path in job.finished:
        if path.is_dir() and not (folder / path.name).exists():
            partial = folder / f".{path.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(path, partial)
            partial.rename(folder / path.name)
    return {path.name for path in folder.iterdir()}


def _train(job: TrialJob, options: dict[str, Any]) -> tuple[list[float], str]:
    """Held-out losses of the last stage, and why its training was given up, empty where it was not."""
    recipe, name = job.candidate.recipe, job.candidate.variant
    assert recipe is not None
    losses: list[float] = []

    def watch(epoch: Epoch) -> None:
        if epoch.stage == name:
            losses.extend([epoch.held_out_loss] * (epoch.epoch - len(losses)))  # those before a stop, not told again, count too
            if job.bar.gives_up(losses, recipe.training.epochs):
                raise _GivenUpError

    compression = CompressOptions(
        model=job.model.model,
        data=job.data,
        recipe=recipe,
        output=job.folder / VARIANTS,
        resume=True,
        watch=watch,
        **options,
    )
    try:
        with resumed_by_itself():
            compress(compression)
    except _GivenUpError:
        reason = f"a held-out loss of {losses[-1]:.3f} after epoch {len(losses)} of {recipe.training.epochs}"
        return losses, f"{reason}, where {job.bar.loss:.3f} at the end was too much"
    epochs = Variant.read(job.folder / VARIANTS / name).epochs
    return [epoch.held_out_loss for epoch in epochs if epoch.stage == name], ""


def _trainable(loaded: Any, proof: Any) -> tuple[str, dict[float, int]]:
    """Why a model cannot be trained, or which shares of it can go with channels."""
    from edgecls.compression.channels.plan import fitting_choice
    from edgecls.compression.channels.trace import trace_channels
    from edgecls.models.rebuild import rebuild

    try:
        flat = rebuild(loaded, proof).model
    except EdgeclsError as error:
        return f"expected {error.expected}, found {error.found}", {}
    channels = trace_channels(flat)
    most = ChannelPruning.model_fields["multiple"].default
    found = {share: fitting_choice(channels, share, most) for share in CHANNEL_SHARES}
    return "", {share: choice.multiple for share, choice in found.items() if choice}
