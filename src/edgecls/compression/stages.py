"""One stage of a variant: what its technique holds about the kernels, the training, and the check that it kept what it promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from edgecls.compression.channels.cost import multiply_accumulates
from edgecls.compression.channels.plan import is_near, plan_channels
from edgecls.compression.channels.rounds import Rounds
from edgecls.compression.channels.trace import trace_channels
from edgecls.compression.clustering import cluster, clusters_of
from edgecls.compression.kernels import LayerKernel, chosen_kernels, describe_kernels, layer_kernels
from edgecls.compression.pruning import PruningSchedule, has_pattern, mask_renewal, refusal
from edgecls.compression.strided import subsample_first
from edgecls.errors import CompressionError
from edgecls.records.artifact import OutputKind
from edgecls.records.recipe import ChannelPruning, Clustering, Distillation, Pruning, QuantizationAwareTraining, Stage, Training
from edgecls.records.variant import Change, Epoch, Kernel
from edgecls.records.written_out import written_out_layer
from edgecls.system.extras import require
from edgecls.training.held import HeldKernels
from edgecls.training.images import TrainingImages
from edgecls.training.loop import FineTuning, fine_tune

_SKIPPED = "left as it is: the recipe skips it"


@dataclass(frozen=True)
class StageJob:
    """What to train.

    Attributes:
        name: of the variant, for people.
        start: opens the tf_keras model of the variant before, which is trained in place.
        stages: all of the variant; the last is trained now, the others hold. Empty for the control.
        teacher: the float base, for distillation.
        checkpoint: file for the state after each epoch.
        fingerprint: of everything the result depends on.
    """

    name: str
    start: Callable[[], Any]
    stages: tuple[Stage, ...]
    training: Training
    images: TrainingImages
    kind: OutputKind
    outputs: int
    teacher: Any
    checkpoint: Path
    fingerprint: str
    resume: bool = False
    on_step: Callable[[int, int], None] = field(default=lambda done, total: None)
    on_epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)


@dataclass(frozen=True)
class StageResult:
    """What came of it.

    Attributes:
        model: float tf_keras model; of quantization-aware training, without its rounding.
        ranges: tensor -> learned (min, max); None without quantization-aware training.
        float_layers: layers that were trained in float beside int8 ones.
        widths: layer -> channels it makes, in the base and in the model; without removal of channels empty.
        macs: multiply-accumulates for an image, in the base and in the model; None without removal of channels.
    """

    model: Any
    epochs: list[Epoch]
    kernels: dict[str, Kernel]
    ranges: dict[str, tuple[float, float]] | None = None
    float_layers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    widths: dict[str, Change] = field(default_factory=dict)
    macs: Change | None = None


def train_stage(job: StageJob) -> StageResult:
    """Train the last stage of a variant.

    Raises:
        CompressionError: training diverged, or the sparsity or the clusters asked for are not there at the end.
        OutputError: a checkpoint cannot be written.
        RecipeError: a checkpoint to resume is of another recipe.
    """
    stage = job.stages[-1] if job.stages else None
    match stage:
        case QuantizationAwareTraining():
            result = _train_quantized(job, stage)
        case ChannelPruning():
            result = _train_without_channels(job, stage)
        case Pruning() | Clustering() | None:
            result = _train_float(job, stage)
        case _:
            assert_never(stage)
    _check(job, result.model)
    return _with_channels(result, job)


def check_stages(model: Any, stages: tuple[Stage, ...]) -> None:
    """Find out before any training whether the stages of a variant can be applied to a flat model.

    Raises:
        CompressionError: no kernel that can be pruned as asked.
        RecipeError: layers to keep float that the model does not have, or channels to remove that have to stay.
    """
    from edgecls.compression.qat import plan_qat

    if (removal := _stage_of(stages, ChannelPruning)) is not None:
        model = plan_channels(model, removal).smaller
    _masks_of_zeros(stages, layer_kernels(model))
    if (qat := _stage_of(stages, QuantizationAwareTraining)) is not None:
        plan_qat(model, qat)


def saved_models(model: Any, wanted: list[tuple[Stage, ...]]) -> Iterator[Any]:
    """What will be saved of a flat model for the stages of some variants, before anything is trained."""
    from edgecls.compression.normalise import normalise

    for removal in dict.fromkeys(_stage_of(stages, ChannelPruning) for stages in wanted):
        start = model if removal is None else plan_channels(model, removal).smaller
        of_it = [stages for stages in wanted if _stage_of(stages, ChannelPruning) == removal]
        folded = [any(isinstance(stage, Clustering | QuantizationAwareTraining) for stage in stages) for stages in of_it]
        if not all(folded):
            yield start
        if any(folded):
            yield normalise(start).model


def copy_model(model: Any) -> Any:
    """A tf_keras model of its own with the same weights."""
    copied = require("tf_keras").models.clone_model(model)
    copied.set_weights(model.get_weights())
    return copied


def _train_without_channels(job: StageJob, stage: ChannelPruning) -> StageResult:
    """Channels go in rounds, each with short training behind it, the last with the recipe's own."""
    training = job.training
    if stage.distill and training.distillation is None:
        training = training.model_copy(update={"distillation": Distillation()})
    short = training.model_copy(update={"epochs": stage.round_epochs, "patience": None})
    rounds = Rounds(stage, job.images, job.kind, training.seed, job.checkpoint, job.fingerprint, job.resume)
    model, epochs = job.start(), []
    for number, smaller in rounds.run(model):
        model = smaller
        subsample_first(model)
        part = replace(job, training=training)
        if number < stage.rounds:
            path = job.checkpoint.with_name(f".{job.name}.{number}.training.checkpoint.npz")
            part = replace(job, training=short, name=f"{job.name} round {number}", checkpoint=path)
        kernels = {kernel.layer: kernel.variable for kernel in layer_kernels(model) if not kernel.note}
        epochs += _fine_tune(part, model, HeldKernels(kernels, {}, {}))
    return StageResult(model, epochs, describe_kernels(layer_kernels(model), {}))


def _train_float(job: StageJob, stage: Pruning | Clustering | None) -> StageResult:
    """Control, pruning and clustering: the model itself is trained."""
    model = job.start()
    if isinstance(stage, Clustering):  # clusters found before BatchNorm is folded would not be clusters after
        from edgecls.compression.normalise import normalise

        model = normalise(model).model
    subsample_first(model)
    found = layer_kernels(model)
    notes: dict[str, str] = {}
    masks = _masks_of_zeros(job.stages[:-1], found)
    clusters: dict[str, np.ndarray] = {}
    if isinstance(stage, Pruning):
        chosen, notes = _prunable(found, stage)
        masks = {kernel.layer: np.ones(kernel.variable.shape, np.float32) for kernel in chosen}
    if isinstance(stage, Clustering):
        chosen = chosen_kernels(found, skip_first=stage.skip_first, skip_last=stage.skip_last)
        notes = _skipped(found, chosen)
        for kernel in chosen:
            clusters[kernel.layer] = cluster(kernel.variable.numpy(), stage.clusters, keep_zeros=kernel.layer in masks)
    held = HeldKernels({kernel.layer: kernel.variable for kernel in found if not kernel.note}, masks, clusters)
    held.project()  # the weights of a cluster become one before the first step
    epochs = _fine_tune(job, model, held, pruning=stage if isinstance(stage, Pruning) else None)
    return StageResult(model, epochs, describe_kernels(found, notes))


def _train_quantized(job: StageJob, stage: QuantizationAwareTraining) -> StageResult:
    """Quantization-aware training: a model with rounding in it is trained, and its float model is what stays."""
    from edgecls.compression.qat import prepare_qat

    clustered = _stage_of(job.stages, Clustering)
    if clustered is not None:
        stage = stage.model_copy(update={"per_channel": False})
    qat = prepare_qat(job.start(), stage, job.images.calibration(stage.calibration_images))
    found = layer_kernels(qat.float_model())
    found = [LayerKernel(kernel.layer, qat.kernels[kernel.layer], kernel.note) for kernel in found if kernel.layer in qat.kernels]
    clusters: dict[str, np.ndarray] = {}
    if clustered is not None:
        chosen = chosen_kernels(found, skip_first=clustered.skip_first, skip_last=clustered.skip_last)
        clusters = {kernel.layer: clusters_of(kernel.variable.numpy()) for kernel in chosen}
    kernels = {kernel.layer: kernel.variable for kernel in found if not kernel.note}
    held = HeldKernels(kernels, _masks_of_zeros(job.stages, found), clusters)
    epochs = _fine_tune(job, qat.model, held, freeze=qat.freeze_ranges, freeze_at=stage.freeze)
    qat.settle()
    model = qat.float_model()
    floats = {written_out_layer(name) or name: qat.plan.stays_float[name] for name in qat.plan.float_calls}
    notes = [f"{layer} stays float: {reason}" for layer, reason in floats.items()]
    return StageResult(model, epochs, describe_kernels(layer_kernels(model), {}), qat.ranges(), qat.plan.float_calls, notes)


def _fine_tune(
    job: StageJob,
    model: Any,
    held: HeldKernels,
    *,
    pruning: Pruning | None = None,
    freeze: Callable[[], None] | None = None,
    freeze_at: float = 1.0,
) -> list[Epoch]:
    tuning = FineTuning(
        stage=job.name,
        model=model,
        kind=job.kind,
        outputs=job.outputs,
        training=job.training,
        held=held,
        checkpoint=job.checkpoint,
        fingerprint=job.fingerprint,
        teacher=job.teacher,
        **_pruning_of(held, pruning),
        freeze=freeze,
        freeze_at=freeze_at,
        on_step=job.on_step,
        on_epoch=job.on_epoch,
    )
    return fine_tune(tuning, job.images, resume=job.resume)


def _pruning_of(held: HeldKernels, recipe: Pruning | None) -> dict[str, Any]:
    """What pruning does to the loop; nothing where nothing is pruned."""
    if recipe is None:
        return {}
    return {"before_step": mask_renewal(held, recipe), "settled_after": lambda steps: PruningSchedule(recipe, steps).ramp}


def _prunable(found: list[LayerKernel], recipe: Pruning) -> tuple[list[LayerKernel], dict[str, str]]:
    """Kernels that can be pruned as asked, and why the others are not.

    Raises:
        CompressionError: there are none.
    """
    chosen = chosen_kernels(found, skip_first=recipe.skip_first, skip_last=recipe.skip_last)
    notes = _skipped(found, chosen)
    for kernel in chosen:
        if reason := refusal(tuple(kernel.variable.shape), recipe.pattern):
            notes[kernel.layer] = f"not pruned: {reason}"
    usable = [kernel for kernel in chosen if kernel.layer not in notes]
    if not usable:
        reasons = "; ".join(f"{layer}: {note}" for layer, note in notes.items()) or "it has none"
        raise CompressionError("a kernel that can be pruned", reasons[:300], "take another pattern, or a model with kernels")
    return usable, notes


def _skipped(found: list[LayerKernel], chosen: list[LayerKernel]) -> dict[str, str]:
    return {kernel.layer: _SKIPPED for kernel in found if not kernel.note and kernel not in chosen}


def _stage_of(stages: tuple[Stage, ...], kind: type) -> Any:
    return next((stage for stage in stages if isinstance(stage, kind)), None)


def _masks_of_zeros(stages: tuple[Stage, ...], found: list[LayerKernel]) -> dict[str, np.ndarray]:
    """Of pruned kernels, the masks that keep their zeros."""
    recipe = _stage_of(stages, Pruning)
    if recipe is None:
        return {}
    chosen, _ = _prunable(found, recipe)
    return {kernel.layer: (kernel.variable.numpy() != 0).astype(np.float32) for kernel in chosen}


def _with_channels(result: StageResult, job: StageJob) -> StageResult:
    """The result with what is left of the base's channels, where some were to go."""
    removal = _stage_of(job.stages, ChannelPruning)
    if removal is None:
        return result
    before, after = trace_channels(job.teacher), trace_channels(result.model)
    macs = Change(before=round(multiply_accumulates(before)), after=round(multiply_accumulates(after)))
    shared = [layer for layer in before.made if layer in after.made]
    widths = {layer: Change(before=len(before.made[layer]), after=len(after.made[layer])) for layer in shared}
    notes, left = list(result.notes), macs.after / macs.before
    if job.stages[-1] is removal and removal.by == "latency":
        notes.append(
            f"{job.name}: {removal.share:.0%} of the kernels' time on this machine were to go, with which {1 - left:.1%} of the "
            "multiply-accumulates went"
        )
    elif job.stages[-1] is removal and not is_near(left, removal.share):
        notes.append(
            f"{job.name}: {1 - left:.1%} of the multiply-accumulates went, the nearest to what was asked that its steps came"
        )
    return replace(result, widths=widths, macs=macs, notes=notes)


def _check(job: StageJob, model: Any) -> None:
    """Every stage's promise, on the final weights.

    Raises:
        CompressionError: one is broken.
    """
    found = layer_kernels(model)
    pruning, clustering = _stage_of(job.stages, Pruning), _stage_of(job.stages, Clustering)
    for kernel in _prunable(found, pruning)[0] if pruning else ():
        if not has_pattern(kernel.variable.numpy(), pruning.sparsity, pruning.pattern):
            zeros = np.count_nonzero(kernel.variable.numpy() == 0) / np.size(kernel.variable.numpy())
            raise CompressionError(
                f"{pruning.sparsity:.1%} zeros ({pruning.pattern}) in {kernel.layer} of {job.name}",
                f"{zeros:.1%}",
                "train for more steps, or ask for a lower sparsity",
            )
    if clustering is not None:
        for kernel in chosen_kernels(found, skip_first=clustering.skip_first, skip_last=clustering.skip_last):
            distinct = len(np.unique(kernel.variable.numpy()))
            if distinct > clustering.clusters:
                raise CompressionError(
                    f"at most {clustering.clusters} distinct values in {kernel.layer} of {job.name}", f"{distinct}", "report this"
                )
