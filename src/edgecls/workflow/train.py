"""train: pictures -> images through the contract -> a network, trained -> model.keras that says itself what it takes."""

from __future__ import annotations

import datetime
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data.digits import are_digits
from edgecls.data.parts import array_shape
from edgecls.errors import InputError, TrainingError
from edgecls.evaluation.judged import RECALL, require_recall
from edgecls.formats import sha256
from edgecls.formats.model_contract import add_contract
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.records.model_contract import CONTRACT_NAME, ModelContract
from edgecls.records.training import SCRATCH, TRAINING_NAME, Training, TrainingPlan
from edgecls.records.variant import MODEL_NAME
from edgecls.reporting.plots import require_plots
from edgecls.reporting.rate_curve import rate_curve
from edgecls.reporting.sample_sheet import write_sample_sheet
from edgecls.system.memory import peak_memory_bytes
from edgecls.system.store import changing, staging
from edgecls.training.fitting import Fitted
from edgecls.training.half_precision import half_policy
from edgecls.training.networks import Network, save_model
from edgecls.training.rates import steepest
from edgecls.training.streams import samples
from edgecls.version import __version__
from edgecls.workflow.content import remembered
from edgecls.workflow.judged_training import judge_training, judged_on
from edgecls.workflow.opening import require_paths
from edgecls.workflow.train_job import TrainJob, find_rate, try_rates
from edgecls.workflow.training_body import ChosenBody, choose_body
from edgecls.workflow.training_images import open_parts

LABELS_NAME, PAGE_NAME, SAMPLES_NAME, CURVE_NAME = "labels.txt", "report.html", "augmented.png", "rate_curve.svg"
_PICTURE_SIZE = (96, 96)  # of networks of our own on pictures, where nothing says another


@dataclass(frozen=True)
class TrainOptions:
    """What `edgecls train` was asked.

    Attributes:
        data: class folders, an `.npz`, a CSV of file and label, or `digits`.
        plan: everything that decides what comes out.
        output: folder of the model, None for `<data>.trained` in the working directory.
        weights: of a network of `keras.applications`: `imagenet` or a file; None for random ones.
        preprocess: how pixels enter a classifier file that is the base, as `--preprocess`; None for what is known or assumed of it.
        allow_code: load such a file also where its layers hold code.
        labels: file with the names of the classes, of an `.npz` that has none.
        fit, filter: how pictures become the network's size, as `ImageSpec.with_choices` takes them; None for what `ImageSpec` has.
        find_rate: take the learning rate at which the loss falls steepest.
        rates: train with each of these, and keep the one that is best on the held-out images.
        tensorboard: write logs for it.
        plots: folder to write the report's charts to as PNG files.
        positive: label of the class that ROC-AUC and threshold are of; None: the second of two.
        recall: share of its images that the threshold is to find.
        resume: go on where an earlier run of the same was stopped.
    """

    data: Path
    plan: TrainingPlan
    output: Path | None = None
    weights: str | None = None
    preprocess: str | None = None
    allow_code: bool = False
    labels: Path | None = None
    fit: str | None = None
    filter: str | None = None
    find_rate: bool = False
    rates: tuple[float, ...] = ()
    tensorboard: bool = False
    plots: Path | None = None
    positive: str | None = None
    recall: float = RECALL
    resume: bool = False

    @property
    def folder(self) -> Path:
        """Where the model goes."""
        return self.output or Path(f"{self.data.resolve().name}.trained")


def train(options: TrainOptions, on_event: OnEvent = ignore) -> Training:
    """Train a classifier and write it with its labels, its contract and the record of its training.

    Raises:
        InputError: data, a model or options that cannot be taken; before any training.
        TrainingError: the loss was no number. Where an epoch was done before, the model with its weights is written.
    """
    began, used = time.perf_counter(), time.process_time()
    _check(options)
    with staging(options.folder) as staged:
        job, points, tried = _job(options, on_event), [], []
        if options.find_rate:
            job, points = find_rate(job)
        if options.rates:
            job, network, fitted, tried = try_rates(job, options.rates)
        else:
            network, fitted = job.fit()
        on_event(Event("judging the model"))
        network = job.in_full(network)
        record = _record(job, network, fitted).model_copy(update={"rates": tried, "rate_curve": points})
        judged = judge_training(job, network, record, positive=options.positive, recall=options.recall)
        record = record.model_copy(
            update={
                "evaluation": judged.evaluation,
                "seconds": round(time.perf_counter() - began, 1),
                "cpu_seconds": round(time.process_time() - used, 1),
                "peak_memory_bytes": peak_memory_bytes(),
            }
        )
        title = f"{Path(job.plan.model).name}, judged on {judged.evaluation.images:,} {record.judged_on} images"
        record = _write(job, staged, record, network, judged.page(title))
        if options.plots:
            judged.plot(options.plots)
    for path in options.folder.glob(".training.*checkpoint.npz"):
        path.unlink()
    if fitted.diverged:
        raise _diverged(job, record)
    return record


def _job(options: TrainOptions, on_event: OnEvent) -> TrainJob:
    """All that is known before the first step."""
    plan = options.plan
    on_event(Event(f"reading {plan.model}"))
    if plan.half:
        half_policy()  # refused here where nothing is gained by it
    body = choose_body(plan, options.weights, options.preprocess, allow_code=options.allow_code)
    on_event(Event("reading images"))
    spec = _image_spec(options, body)
    plan = plan.model_copy(update={"on_weights": body.has_weights})
    parts = open_parts(options.data, spec, plan, options.labels, on_event)
    for note in (*body.notes, *parts.notes):
        on_event(Event("reading images", remark=note))
    if options.positive is not None and options.positive not in parts.labels:
        raise InputError(
            f"--positive among {', '.join(parts.labels[:8])}", repr(options.positive), "write it as the class is called"
        )
    job = TrainJob(
        plan, body, spec, parts, options.data, options.folder, on_event, resume=options.resume, tensorboard=options.tensorboard
    )
    for images in parts.parts.values():
        job.objective.require_fitting(images.labels)
    on_event(Event("building the network"))
    return job


def _check(options: TrainOptions) -> None:
    require_recall(options.recall)
    if options.plots:
        require_plots(options.plots)
    if options.find_rate and options.rates:
        raise InputError("one of --find-rate and --rates", "both", "leave one of them out")
    wrong = [rate for rate in options.rates if not 0 < rate < math.inf]
    if wrong:
        raise InputError("learning rates above 0 for --rates", f"{wrong[0]:g}", "write as --rates 1e-3,1e-4,1e-5")
    if options.plan.learning_rate is not None and (options.find_rate or options.rates):
        option = "--find-rate" if options.find_rate else "--rates"
        raise InputError(f"one of --learning-rate and {option}", "both", "leave one of them out")
    if options.plan.half and options.plan.model not in SCRATCH and Path(options.plan.model).exists():
        raise InputError("--half with a network that is built here", f"the base {options.plan.model}", "leave --half out")
    require_paths({"DATA": options.data, "--labels": options.labels})


def _image_spec(options: TrainOptions, body: ChosenBody) -> ImageSpec:
    """Pixels from 0 to 255 as they are: what a network does to them is inside it, so that no other program can do it wrong."""
    plan, shape = options.plan, array_shape(options.data)
    if are_digits(options.data):
        shape = (8, 8, 1)
    height, width = plan.size or body.size or (shape[:2] if shape else _PICTURE_SIZE)
    channels = 1 if plan.grey else shape[2] if shape and shape[2] in (1, 3) else 3
    channels = body.spec.channels if body.spec else channels
    if plan.grey and channels != 1:
        raise InputError("--grey with a base of one channel", f"{plan.model}, which takes {channels}", "leave --grey out")
    spec = ImageSpec(
        height=height,
        width=width,
        channels=channels,
        color_order="GRAY" if channels == 1 else "RGB",
        provenance="in-model",
        note="Trained on pixels 0..255 as they are: layers inside the model scale them.",
    )
    usual = body.spec or spec
    return spec.with_choices(fit=options.fit or usual.fit_choice, filter=options.filter or usual.filter)


def _record(job: TrainJob, network: Network, fitted: Fitted) -> Training:
    model, plan = network.model, job.plan
    return Training(
        created=datetime.datetime.now(datetime.UTC),
        edgecls_version=__version__,
        data=remembered(job.data),
        plan=plan,
        image_spec=job.spec,
        labels=job.parts.labels,
        parts=job.parts.counted,
        measure=job.objective.measure,
        loss_kind=job.objective.words,
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(value.shape)) for value in model.trainable_weights),
        layers_of_base=len(network.base),
        first_unfrozen=plan.first_unfrozen(len(network.base)) if plan.fine_tune else None,
        epochs=fitted.epochs,
        kept_epoch=fitted.kept,
        stopped=fitted.stopped,
        judged_on=judged_on(job),
        notes=[*job.body.notes, *job.parts.notes],
    )


def _write(job: TrainJob, staged: Path, record: Training, network: Network, page: str) -> Training:
    """Put the model with everything beside it in place, in one step."""
    contract = ModelContract(image_spec=record.image_spec, labels=record.labels, edgecls_version=__version__)
    save_model(network, staged / MODEL_NAME)
    add_contract(staged / MODEL_NAME, contract)
    record = record.model_copy(update={"model_sha256": sha256(staged / MODEL_NAME)})
    if not job.plan.augmentation.is_none:
        write_sample_sheet(staged / SAMPLES_NAME, samples(job.trained))
    with changing(job.folder, staged) as change:
        change.put(staged / MODEL_NAME, MODEL_NAME)
        change.write(LABELS_NAME, "\n".join(record.labels) + "\n")
        change.write(CONTRACT_NAME, contract.to_json())
        change.write(PAGE_NAME, page)
        change.remove([SAMPLES_NAME, CURVE_NAME])  # of an earlier training, where this one has none
        if (staged / SAMPLES_NAME).exists():
            change.put(staged / SAMPLES_NAME, SAMPLES_NAME)
        if record.rate_curve:
            change.write(CURVE_NAME, rate_curve(record.rate_curve, steepest(record.rate_curve)))
        change.write(TRAINING_NAME, record.to_json())
    return record


def _diverged(job: TrainJob, record: Training) -> TrainingError:
    found = f"{record.stopped}; {job.folder / MODEL_NAME} has the weights of epoch {record.kept_epoch}"
    remedy = f"lower the learning rate: --learning-rate {job.plan.first_rate / 10:g}"
    return TrainingError("training that converges", found, remedy)
