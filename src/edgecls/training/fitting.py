"""Fitting: Keras' own `fit`, epoch by epoch, each judged on held-out images and kept in a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import TrainingError
from edgecls.records.training import Phase, TrainingEpoch, TrainingPlan
from edgecls.system.extras import require
from edgecls.training.checkpoint import assign, read_checkpoint, write_checkpoint
from edgecls.training.networks import Network
from edgecls.training.objectives import Objective
from edgecls.training.optimizers import make_optimizer, plateau_rate
from edgecls.training.streams import Stream


@dataclass(frozen=True)
class Step:
    """How far a training is.

    Attributes:
        done, total: steps of all epochs.
        epoch: the one at work, from 1.
        loss: mean of this epoch so far.
    """

    done: int
    total: int
    epoch: int
    loss: float


@dataclass(frozen=True)
class Fitting:
    """One training of one network.

    Attributes:
        network: trained in place.
        trained, held_out: images.
        held_out_labels: of the latter, as `Objective.judge` takes them.
        checkpoint: file to write after every epoch.
        fingerprint: what a checkpoint must carry to be gone on from.
        on_step, on_epoch: told how far it is.
    """

    network: Network
    plan: TrainingPlan
    objective: Objective
    trained: Stream
    held_out: Stream
    held_out_labels: np.ndarray
    checkpoint: Path
    fingerprint: str
    on_step: Callable[[Step], None] = field(default=lambda step: None)
    on_epoch: Callable[[TrainingEpoch], None] = field(default=lambda epoch: None)


@dataclass(frozen=True)
class Fitted:
    """A training that is over; the network has the weights of the epoch that was kept.

    Attributes:
        kept: number of that epoch.
        stopped: why before the last one, empty where it was not.
        diverged: whether because the loss was no number any more.
    """

    epochs: list[TrainingEpoch]
    kept: int
    stopped: str = ""
    diverged: bool = False


def fit(job: Fitting, *, resume: bool = False) -> Fitted:
    """Train through all phases.

    Args:
        resume: go on from the checkpoint if there is one.

    Raises:
        TrainingError: the loss was no number before any epoch was done.
        OutputError: a checkpoint cannot be written or read.
        RecipeError: the checkpoint is of another training.
    """
    run = _Run(job)
    if resume:
        run.restore()
    else:
        job.checkpoint.unlink(missing_ok=True)
    stopped, diverged = "", False
    for phase, epochs, rate in job.plan.phases:
        done = [epoch for epoch in run.epochs if epoch.phase == phase]
        if run.epochs and not done:
            run.take_kept()  # fine-tuning goes on from the best of what was before
        if diverged:
            break
        run.begin(phase, epochs, rate)
        while len(done) < epochs:
            if reason := _is_over(done, job.plan.patience):
                stopped = f"{phase} {reason}"
                break
            epoch = run.epoch(phase, done, rate)
            if epoch is None:
                stopped, diverged = run.divergence, True
                break
            done.append(epoch)
            job.on_epoch(epoch)
    run.take_kept()
    return Fitted(run.epochs, run.kept, stopped, diverged)


def scores_of(model: Any, stream: Stream) -> np.ndarray:
    """Scores [n, outputs] of the images of a stream, in their order, in inference mode."""
    return np.asarray(model.predict(stream.in_order(), verbose=0), np.float32)


def merit(epoch: TrainingEpoch) -> tuple[float, float]:
    """What makes one epoch better than another: its score, then its loss, on the held-out images."""
    return epoch.held_out_score, -epoch.held_out_loss


def kept_epoch(epochs: Sequence[TrainingEpoch], images: int) -> TrainingEpoch:
    """The last epoch that the held-out images cannot tell from the best one: within a standard error of its score.

    Few images rank epochs by chance, and a high by chance early on would throw away what the falling rate of the rest brings: the rule
    of one standard error (Breiman, Friedman, Olshen, Stone 1984).

    Args:
        images: number of held-out images.
    """
    best = max(epoch.held_out_score for epoch in epochs)
    error = math.sqrt(best * (1 - best) / images)
    return next(epoch for epoch in reversed(epochs) if epoch.held_out_score >= best - error)


class _Run:
    """The state of a training. Its variables are those of the network, which hold the random generators too, and of the optimizer."""

    def __init__(self, job: Fitting) -> None:
        self._job, self._model = job, job.network.model
        self.epochs: list[TrainingEpoch] = []
        self.kept = 0
        self.divergence = ""
        self._kept_weights: list[np.ndarray] = []
        self._saved: list[np.ndarray] | None = None
        self._total = job.trained.steps * sum(epochs for _, epochs, _ in job.plan.phases)

    def begin(self, phase: Phase, epochs: int, rate: float) -> None:
        """Free and freeze layers for a phase, with an optimizer of its own."""
        plan, base = self._job.plan, self._job.network.base
        freeze(base, len(base) if phase == "training" else plan.first_unfrozen(len(base)))
        optimizer = make_optimizer(plan, rate, epochs * self._job.trained.steps)
        self._model.compile(optimizer, self._job.objective.loss(), metrics=self._metrics(), jit_compile="auto")
        self._optimizer = self._model.optimizer  # around which Keras puts another one that scales the loss in half precision
        self._optimizer.build(self._model.trainable_variables)
        if self._saved is not None and self.epochs and self.epochs[-1].phase == phase:
            assign(self._state(), self._saved)
            self._saved = None

    def epoch(self, phase: Phase, done: Sequence[TrainingEpoch], rate: float) -> TrainingEpoch | None:
        """Train one epoch of a phase and judge it; None where the loss is no number any more."""
        job, number, started = self._job, len(self.epochs), time.perf_counter()
        if job.plan.schedule == "plateau":
            self._optimizer.learning_rate.assign(plateau_rate(rate, [one.held_out_loss for one in done], job.plan.plateau))
        watch = _watch(job, number, self._total)
        history = self._model.fit(job.trained.epoch(number), epochs=1, verbose=0, shuffle=False, callbacks=[watch]).history
        seconds = time.perf_counter() - started
        if watch.diverged:
            self.divergence = f"the loss was {watch.loss} in step {watch.step} of epoch {number + 1}"
            return self._nothing_good(number)
        loss, score = job.objective.judge(scores_of(self._model, job.held_out), job.held_out_labels)
        if not math.isfinite(loss):
            self.divergence = f"the held-out loss was {loss} after epoch {number + 1}"
            return self._nothing_good(number)
        epoch = TrainingEpoch(
            phase=phase,
            epoch=number + 1,
            loss=history["loss"][0],
            accuracy=next((values[0] for name, values in history.items() if name.endswith("accuracy")), None),
            held_out_loss=loss,
            held_out_score=score,
            learning_rate=float(np.asarray(self._optimizer.learning_rate)),
            images_per_s=job.trained.steps * job.trained.batch / seconds,
            seconds=time.perf_counter() - started,
        )
        self._remember(epoch)
        return epoch

    def take_kept(self) -> None:
        """Put the weights of the epoch that was kept into the network."""
        if self._kept_weights:
            assign(self._model.weights, self._kept_weights)

    def restore(self) -> None:
        """Take epochs, weights and random state from the checkpoint, as far as there is one; the optimizer's when its phase begins."""
        found = read_checkpoint(self._job.checkpoint, self._job.fingerprint, TrainingEpoch)
        if found is None:
            return
        self.epochs, values = found
        count = len(self._model.weights)
        self._saved, self._kept_weights = values[:-count], values[-count:]
        self.kept = self._kept().epoch
        assign(self._model.variables, self._saved[: len(self._model.variables)])

    def _remember(self, epoch: TrainingEpoch) -> None:
        self.epochs.append(epoch)
        if self._kept() is epoch:
            self.kept, self._kept_weights = epoch.epoch, [np.asarray(value) for value in self._model.weights]
        values = [*(np.asarray(value) for value in self._state()), *self._kept_weights]
        write_checkpoint(self._job.checkpoint, self._job.fingerprint, self.epochs, values)

    def _kept(self) -> TrainingEpoch:
        return kept_epoch(self.epochs, len(self._job.held_out_labels))

    def _state(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables]

    def _metrics(self) -> list[str]:
        return [] if self._job.plan.multi_label else ["accuracy"]

    def _nothing_good(self, number: int) -> None:
        """Raise where no epoch before is left to fall back on."""
        if not self.epochs:
            rate = self._job.plan.first_rate
            raise TrainingError(
                "training that converges", self.divergence, f"lower the learning rate: --learning-rate {rate / 10:g}"
            )


def freeze(base: Sequence[Any], first_free: int) -> None:
    """Let the layers of a base train from `first_free` on. BatchNorm never does: it keeps its statistics, in inference mode."""
    for index, layer in enumerate(base):
        layer.trainable = index >= first_free and type(layer).__name__ != "BatchNormalization"


def _is_over(done: Sequence[TrainingEpoch], patience: int | None) -> str:
    """Why a phase is over before its last epoch: so many epochs went by without a better one. Empty where it is not."""
    if patience is None or not done:
        return ""
    merits = [merit(epoch) for epoch in done]
    since = len(merits) - 1 - merits.index(max(merits))
    return f"stopped after epoch {done[-1].epoch}: {since} epochs without a better one" if since >= patience else ""


def _watch(job: Fitting, number: int, total: int) -> Any:
    """A callback that tells of every step, and stops where the loss is no number."""
    keras = require("keras")

    class Watch(keras.callbacks.Callback):
        diverged = False
        loss = 0.0
        step = 0

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.loss, self.step = float((logs or {}).get("loss", 0.0)), batch + 1
            job.on_step(Step(number * job.trained.steps + self.step, total, number + 1, self.loss))
            if not math.isfinite(self.loss):
                self.diverged = self.model.stop_training = True

    return Watch()
