"""The fine-tuning of one stage: steps, epochs, checkpoints. The same seed gives the same weights, interrupted or not."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import CompressionError
from edgecls.records.artifact import OutputKind
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.recipe import Training
from edgecls.records.variant import Epoch
from edgecls.system.extras import require
from edgecls.training.batch_norms import following
from edgecls.training.checkpoint import assign, read_checkpoint, write_checkpoint
from edgecls.training.finiteness import first_not_finite
from edgecls.training.held import HeldKernels
from edgecls.training.images import TrainingImages
from edgecls.training.losses import distillation_loss, label_loss, logits_of

_USUAL = 0.3  # of the size at initialization: trained kernels above it are stepped like any other


@dataclass(frozen=True)
class FineTuning:
    """One stage of one variant.

    Attributes:
        stage: its name, for people.
        model: tf_keras model that is trained in place.
        kind, outputs: what the scores are.
        held: zeros and clusters that stay.
        teacher: float model to distil from; heeded where `training` says so.
        before_step: called before every step with its number and how many there are, as pruning does that raises its sparsity.
        settled_after: of so many steps in all, those after which an epoch may be the best one.
        freeze: called once, after the share `freeze_at` of the steps.
        checkpoint: file to write after every epoch.
        fingerprint: what a checkpoint must carry to be gone on from.
    """

    stage: str
    model: Any
    kind: OutputKind
    outputs: int
    training: Training
    held: HeldKernels
    checkpoint: Path
    fingerprint: str
    teacher: Any = None
    before_step: Callable[[int, int], None] = field(default=lambda step, steps: None)
    settled_after: Callable[[int], int] = field(default=lambda steps: 0)
    freeze: Callable[[], None] | None = None
    freeze_at: float = 1.0
    on_step: Callable[[int, int], None] = field(default=lambda done, total: None)
    on_epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)


def fine_tune(job: FineTuning, images: TrainingImages, *, resume: bool) -> list[Epoch]:
    """Train to the end, or until `patience` is over; then the best epoch's weights are in the model.

    Args:
        resume: go on from the checkpoint if there is one.

    Raises:
        CompressionError: the loss is no number any more, with the first layer that is none; the last good checkpoint is kept.
        OutputError: a checkpoint cannot be written.
        RecipeError: the checkpoint is of another job.
    """
    run = _Run(job, images)
    epochs = run.restore() if resume else []
    if not resume:
        job.checkpoint.unlink(missing_ok=True)
    with following(job.model, images.steps):
        while len(epochs) < job.training.epochs and not run.is_over(epochs):
            epochs = [*epochs, run.epoch(len(epochs))]
            run.save(epochs)
            job.on_epoch(epochs[-1])
    if job.training.patience is not None:
        run.take_best()
    return epochs


def evaluate(model: Any, images: TrainingImages, kind: OutputKind, outputs: int) -> tuple[float, float]:
    """(loss, accuracy) on the held-out images, in inference mode."""
    return Judge(model, kind, outputs)(images)


class Judge:
    """Asks a model about held-out images, again and again while it trains; traced once."""

    def __init__(self, model: Any, kind: OutputKind, outputs: int) -> None:
        self._tf = require("tensorflow")
        self._model, self._outputs = model, outputs
        self._kind: OutputKind = kind
        self._function = self._tf.function(self._traced, reduce_retracing=True, autograph=False)

    def __call__(self, images: TrainingImages) -> tuple[float, float]:
        """(loss, accuracy), in inference mode; accuracy is what `images.measure` says."""
        losses, answers = [], []
        for inputs, labels in images.evaluation():
            loss, logits = self._function(self._tf.constant(inputs), self._tf.constant(labels))
            losses.append(len(labels) * float(loss))
            answers.append(logits.numpy())
        labels, logits = images.held_out.own_labels, np.concatenate(answers)
        return sum(losses) / len(labels), self._accuracy(logits, labels)

    def _accuracy(self, logits: np.ndarray, labels: np.ndarray) -> float:
        if labels.ndim == 2:
            return mean_average_precision(labels, logits)
        winners = logits[:, 0] > 0 if self._outputs == 1 else logits.argmax(axis=-1)
        return float(np.mean(winners == labels))

    def _traced(self, inputs: Any, labels: Any) -> tuple[Any, Any]:
        logits = logits_of(self._model(inputs, training=False), self._kind)
        return label_loss(logits, labels, self._kind, self._outputs), logits


class _Run:
    """The state of a stage while it trains."""

    def __init__(self, job: FineTuning, images: TrainingImages) -> None:
        self._tf = require("tensorflow")
        self._job, self._images = job, images
        self._total = images.steps * job.training.epochs
        self._variables = list(job.model.trainable_variables)
        self._optimizer = _optimizer(job.training, self._variables)
        self._strides = [(value, stride) for value in self._variables if (stride := _stride(value)) < 1]
        self._generators = _random_generators(job.model)
        self._judge = Judge(job.model, job.kind, job.outputs)
        self._step = self._tf.function(self._traced_step, autograph=False)
        self._best: tuple[tuple[float, float], list[np.ndarray]] | None = None
        self._frozen = False

    def epoch(self, number: int) -> Epoch:
        """Train one epoch, 0, 1, 2 …, and judge it."""
        tf, job = self._tf, self._job
        for index, generator in enumerate(self._generators):
            generator.reset_from_seed(int(np.random.default_rng([job.training.seed, number, index]).integers(2**31)))
        losses, times = [], []
        for step, (inputs, labels) in enumerate(self._images.epoch(number), start=number * self._images.steps):
            self._before(step)
            started = time.perf_counter()
            rate = job.training.learning_rate * (1 + math.cos(math.pi * step / self._total)) / 2
            loss = float(self._step(tf.constant(inputs), tf.constant(labels), tf.constant(rate, tf.float32)))
            times.append(time.perf_counter() - started)
            if not math.isfinite(loss):
                raise self._diverged(f"a loss of {loss} in step {step + 1} of {self._total}", number, inputs, training=True)
            losses.append(loss)
            job.on_step(step + 1, self._total)
        held_out_loss, accuracy = self._judge(self._images)
        if not math.isfinite(held_out_loss):
            inputs, _ = next(self._images.evaluation())
            raise self._diverged(f"a held-out loss of {held_out_loss} after epoch {number + 1}", number, inputs, training=False)
        done = Epoch(
            stage=job.stage,
            epoch=number + 1,
            loss=statistics.fmean(losses),
            held_out_loss=held_out_loss,
            held_out_accuracy=accuracy,
            measure=self._images.measure,
            sparsity=_sparsity(job.held),
            step_ms=1000 * statistics.median(times),
        )
        self._remember(done)
        return done

    def is_over(self, epochs: list[Epoch]) -> bool:
        """Whether `patience` epochs went by without a better one."""
        patience = self._job.training.patience
        judged = [_merit(epoch) for epoch in epochs if self._is_eligible(epoch)]
        return patience is not None and bool(judged) and len(judged) - 1 - judged.index(max(judged)) >= patience

    def take_best(self) -> None:
        """Put the best epoch's weights into the model."""
        if self._best is not None:
            assign(self._job.model.weights, self._best[1])

    def save(self, epochs: list[Epoch]) -> None:
        """Write the checkpoint."""
        best = self._best[1] if self._best else []
        write_checkpoint(
            self._job.checkpoint, self._job.fingerprint, epochs, [*(value.numpy() for value in self._state()), *best]
        )

    def restore(self) -> list[Epoch]:
        """Go back to the checkpoint; its epochs, none where there is none."""
        found = read_checkpoint(self._job.checkpoint, self._job.fingerprint, Epoch)
        if found is None:
            return []
        epochs, values = found
        state = self._state()
        assign(state, values[: len(state)])
        eligible = [epoch for epoch in epochs if self._is_eligible(epoch)]
        if self._job.training.patience is not None and eligible:
            self._best = max(_merit(epoch) for epoch in eligible), values[len(state) :]
        self._frozen = False  # frozen again, where it was, before the next step
        return epochs

    def _state(self) -> list[Any]:
        return [*self._job.model.weights, *self._optimizer.variables, *self._job.held.state]

    def _before(self, step: int) -> None:
        """What changes between two steps: masks, and what is frozen."""
        job = self._job
        job.before_step(step, self._total)
        if job.freeze is not None and not self._frozen and step >= job.freeze_at * self._total:
            job.freeze()
            self._frozen = True

    def _traced_step(self, inputs: Any, labels: Any, rate: Any) -> Any:
        job, tf = self._job, self._tf
        with tf.GradientTape() as tape:
            logits = logits_of(job.model(inputs, training=True), job.kind)
            loss = label_loss(logits, labels, job.kind, job.outputs)
            distillation = job.training.distillation
            if distillation is not None and job.teacher is not None:
                taught = logits_of(job.teacher(inputs, training=False), job.kind)
                distilled = distillation_loss(logits, taught, job.kind, job.outputs, distillation)
                loss = (1 - distillation.weight) * loss + distillation.weight * distilled
        gradients = tape.gradient(loss, self._variables)
        pairs = [
            (job.held.gradient(gradient, variable), variable)
            for gradient, variable in zip(gradients, self._variables, strict=True)
            if gradient is not None
        ]
        # without it the weights stay those that gave such a loss, and tell where it came from
        tf.cond(tf.math.is_finite(loss), lambda: self._update(pairs, rate), tf.no_op)
        return loss

    def _update(self, pairs: list[tuple[Any, Any]], rate: Any) -> Any:
        """Step down the gradients of some variables."""
        tf = self._tf
        strides = {variable.ref(): stride for variable, stride in self._strides}
        self._optimizer.learning_rate.assign(rate)
        before = [tf.identity(variable) for variable, _ in self._strides]
        self._optimizer.apply_gradients([(gradient * strides.get(value.ref(), 1.0), value) for gradient, value in pairs])
        for (variable, stride), start in zip(self._strides, before, strict=True):
            variable.assign(start + stride * (variable - start))
        self._job.held.project()
        return tf.no_op()

    def _is_eligible(self, epoch: Epoch) -> bool:
        """Whether an epoch may be the best: the sparsity asked has to be there."""
        return epoch.epoch * self._images.steps >= self._job.settled_after(self._total)

    def _remember(self, epoch: Epoch) -> None:
        if self._job.training.patience is None or not self._is_eligible(epoch):
            return
        if self._best is None or _merit(epoch) > self._best[0]:
            self._best = _merit(epoch), [value.numpy() for value in self._job.model.weights]

    def _diverged(self, what: str, epoch: int, inputs: np.ndarray, *, training: bool) -> CompressionError:
        first = first_not_finite(self._job.model, inputs, training=training)
        where = f"; the first that is not finite is {first}" if first else ""
        kept = f"; the checkpoint after epoch {epoch} is kept at {self._job.checkpoint}" if self._job.checkpoint.exists() else ""
        rate = self._job.training.learning_rate
        return CompressionError(
            f"training of {self._job.stage} that converges",
            f"{what}{where}{kept}",
            f"lower the learning rate: --learning-rate {rate / 10:g}",
        )


def _merit(epoch: Epoch) -> tuple[float, float]:
    return epoch.held_out_accuracy, -epoch.held_out_loss


def _sparsity(held: HeldKernels) -> float:
    values = [kernel.numpy() for kernel in held.kernels.values()]
    total = sum(value.size for value in values)
    return 1 - sum(np.count_nonzero(value) for value in values) / total if total else 0.0


def _optimizer(training: Training, variables: list[Any]) -> Any:
    """AdamW or SGD of tf_keras, with its variables made, so that a checkpoint finds them."""
    optimizers = require("tf_keras").optimizers
    if training.optimizer == "adamw":
        optimizer = optimizers.AdamW(training.learning_rate, weight_decay=training.weight_decay, jit_compile=False)
        optimizer.exclude_from_weight_decay(var_list=[value for value in variables if len(value.shape) < 2])
    else:
        optimizer = optimizers.SGD(training.learning_rate, momentum=0.9, nesterov=True, jit_compile=False)
    optimizer.build(variables)
    return optimizer


def _stride(variable: Any) -> float:
    """How much shorter than others the steps of a kernel have to be, 0..1: as much as its weights are smaller than usual.

    Where an input scaling of 1/255 or a BatchNorm was folded into it, a kernel's weights are a hundredth of what they would be, and a
    step of the usual length would wipe them out. Gradient and step are both scaled by this, which is training the kernel as it was before
    folding. The usual size is that of He's initialization, sqrt(2 / inputs of a sum) (arXiv 1502.01852).
    """
    values = variable.numpy()
    if values.ndim < 2:
        return 1.0
    sums = np.prod(values.shape[:-2] if "depthwise" in variable.name else values.shape[:-1])
    size = float(np.sqrt(np.mean(values.astype(np.float64) ** 2)) / np.sqrt(2 / sums))
    return 1.0 if size > _USUAL else max(size, 1e-4)


def _random_generators(model: Any) -> list[Any]:
    """Generators of the layers that draw random numbers, brought to a kind whose state can be set.

    tf_keras' own default draws from hidden counters of the running graph, which no checkpoint can keep.
    """
    from tf_keras.src.backend import RandomGenerator

    found = []
    for layer in model.layers:
        if isinstance(getattr(layer, "_random_generator", None), RandomGenerator):
            generator = RandomGenerator(seed=0, rng_type=RandomGenerator.RNG_STATEFUL)
            generator._maybe_init()
            layer._random_generator = generator
            found.append(generator._generator)
    return found
