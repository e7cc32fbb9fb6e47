"""TrainJob: one network, trained as its plan says, and the ways to find a learning rate for it before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from edgecls.errors import InputError, TrainingError
from edgecls.records.event import Event, OnEvent
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import fingerprint
from edgecls.records.training import RatePoint, TrainingEpoch, TrainingPlan, TriedRate
from edgecls.reporting.training import describe_training_epoch
from edgecls.system.extras import require
from edgecls.training.event_log import EventLog, remove_logs
from edgecls.training.fitting import Fitted, Fitting, Step, fit, merit
from edgecls.training.half_precision import FULL, half_policy, policy
from edgecls.training.networks import Network, build_network
from edgecls.training.objectives import Objective
from edgecls.training.rates import range_test, steepest
from edgecls.training.streams import Stream
from edgecls.training.time_left import TimeLeft
from edgecls.version import __version__
from edgecls.workflow.content import content_hash
from edgecls.workflow.training_body import ChosenBody
from edgecls.workflow.training_images import TrainingParts

CHECKPOINT_NAME = ".training.checkpoint.npz"
LOGS_NAME = "tensorboard"


@dataclass(frozen=True)
class TrainJob:
    """What is trained on what.

    Attributes:
        data: where the images come from.
        folder: where checkpoints and logs go.
        resume: go on from checkpoints.
        tensorboard: write its logs.
    """

    plan: TrainingPlan
    body: ChosenBody
    spec: ImageSpec
    parts: TrainingParts
    data: Path
    folder: Path
    on_event: OnEvent
    resume: bool = False
    tensorboard: bool = False

    @property
    def objective(self) -> Objective:
        """What it is trained for."""
        return Objective(self.plan, len(self.parts.labels))

    def with_rate(self, rate: float) -> TrainJob:
        """The same with another learning rate."""
        return replace(self, plan=self.plan.model_copy(update={"learning_rate": rate}))

    def stream(self, name: str) -> Stream:
        """The images of a part, to be judged on."""
        images = self.parts.parts[name]
        return Stream(images.pixels, images.chosen, self.objective.targets(images.labels))

    @property
    def trained(self) -> Stream:
        """The images to train on."""
        images, plan = self.parts.parts["training"], self.plan
        return replace(
            self.stream("training"),
            chosen=self.objective.drawn(images.labels, images.chosen),
            weights=self.objective.weights(images.labels, images.chosen),
            batch=plan.batch,
            seed=plan.seed,
            augmentation=plan.augmentation,
        )

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """All that the weights depend on beside the plan, as text."""
        return content_hash(self.data), self.spec.model_dump_json(), self.body.fact, *self.parts.labels, __version__

    def network(self, dtypes: str | None = None) -> Network:
        """The network with its first weights: the same for the same seed."""
        require("keras").utils.set_random_seed(self.plan.seed)
        with policy(dtypes or (half_policy() if self.plan.half else FULL)):
            return build_network(self.plan, self.spec, self.objective.outputs, self.body.build)

    def in_full(self, network: Network) -> Network:
        """A trained network as it is saved: in float32, whatever precision it was trained in."""
        if not self.plan.half:
            return network
        full = self.network(FULL)
        full.model.set_weights(network.model.get_weights())
        return full

    def fit(self, trial: str = "") -> tuple[Network, Fitted]:
        """Train.

        Args:
            trial: which of several trainings this is; its checkpoint and the folder of its logs are called after it.

        Raises:
            InputError: no layer of the base would train.
            TrainingError, OutputError, RecipeError: as `training.fitting.fit`.
        """
        network, left, objective = self.network(), TimeLeft(), self.objective
        checkpoint = self.folder / (f".training.{trial}.checkpoint.npz" if trial else CHECKPOINT_NAME)
        if self.resume and not trial and not checkpoint.exists():
            self.on_event(Event("training", remark=f"nothing to go on with in {self.folder}: trained from the start"))
        self.require_unfrozen(network)
        held_out = self.parts.parts["held-out"]
        with self._log(trial) as log:

            def tell(step: Step) -> None:
                detail = f"epoch {step.epoch}, loss {step.loss:.4f}, {left(step.done, step.total)}"
                self.on_event(Event("training", Path(self.plan.model).name, step.done, step.total, detail=detail))

            def tell_epoch(epoch: TrainingEpoch) -> None:
                words = describe_training_epoch(epoch, self.plan, objective.measure, left.words)
                self.on_event(Event("training", remark=words))
                if log is not None:
                    log.add(epoch.epoch, epoch.model_dump(exclude={"phase", "epoch"}, exclude_none=True))

            fitting = Fitting(
                network=network,
                plan=self.plan,
                objective=objective,
                trained=self.trained,
                held_out=self.stream("held-out"),
                held_out_labels=held_out.labels[held_out.chosen],
                checkpoint=checkpoint,
                fingerprint=fingerprint(self.plan, *self.facts),
                on_step=tell,
                on_epoch=tell_epoch,
            )
            return network, fit(fitting, resume=self.resume)

    def require_unfrozen(self, network: Network) -> None:
        """Refuse an `--unfreeze` beyond the base.

        Raises:
            InputError: no layer of it would train.
        """
        count = len(network.base)
        if self.plan.fine_tune and self.plan.first_unfrozen(count) >= count:
            raise InputError(
                f"--unfreeze below the {count} layers of the base, which count from 0",
                self.plan.unfreeze,
                "give a lower number, or a share such as --unfreeze 30%",
            )

    @contextlib.contextmanager
    def _log(self, trial: str) -> Iterator[EventLog | None]:
        if not self.tensorboard:
            yield None
            return
        folder = self.folder / LOGS_NAME / trial
        if not self.resume:
            remove_logs(folder)
        log = EventLog(folder)
        try:
            yield log
        finally:
            log.close()


def find_rate(job: TrainJob) -> tuple[TrainJob, list[RatePoint]]:
    """The job with the learning rate at which its loss falls steepest, and the curve that says so."""
    network = job.network()
    job.require_unfrozen(network)
    points = range_test(
        network,
        job.plan,
        job.objective,
        job.trained,
        lambda done, total: job.on_event(Event("testing learning rates", done=done, total=total)),
    )
    if len(points) < 3:
        raise TrainingError("a loss that falls at some learning rate", "none that is a number from 1e-6 on", "look at the data")
    rate = steepest(points)
    job.on_event(Event("testing learning rates", remark=f"learning rate {rate:.2g}: the loss falls steepest there"))
    return job.with_rate(rate), points


def try_rates(job: TrainJob, rates: tuple[float, ...]) -> tuple[TrainJob, Network, Fitted, list[TriedRate]]:
    """Train once with each learning rate; the job, network and training that are best on the held-out images, and what each reached.

    Raises:
        TrainingError: none converges.
    """
    best: tuple[TrainJob, Network, Fitted] | None = None
    tried: list[TriedRate] = []
    for rate in rates:
        one = job.with_rate(rate)
        try:
            network, fitted = one.fit(f"{rate:g}")
        except TrainingError as error:
            job.on_event(Event("training", remark=f"learning rate {rate:g}: {error.found}"))
            tried.append(TriedRate(learning_rate=rate, held_out_score=None, held_out_loss=None))
            continue
        epoch = fitted.epochs[fitted.kept - 1]
        tried.append(TriedRate(learning_rate=rate, held_out_score=epoch.held_out_score, held_out_loss=epoch.held_out_loss))
        words = (
            f"learning rate {rate:g}: {job.objective.measure} {epoch.held_out_score:.2%}, held-out loss {epoch.held_out_loss:.4f}"
        )
        job.on_event(Event("training", remark=words))
        if best is None or merit(epoch) > merit(best[2].epochs[best[2].kept - 1]):
            best = one, network, fitted
    if best is None:
        raise TrainingError(
            "training that converges", f"none at the rates {', '.join(f'{rate:g}' for rate in rates)}", "give lower ones"
        )
    return *best, tried
