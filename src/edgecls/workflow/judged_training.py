"""A trained network on the images that it is judged by: the test part where there is one, else those held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecls.evaluation.judged import judge
from edgecls.records.evaluation import Evaluation
from edgecls.records.training import Training, TrainingEpoch
from edgecls.reporting.evaluation_page import evaluation_page
from edgecls.training.fitting import scores_of
from edgecls.training.networks import Network
from edgecls.workflow.train_job import TrainJob


def judged_on(job: TrainJob) -> str:
    """Name of the part that the finished network is judged by."""
    return "test" if "test" in job.parts.parts else "held-out"


def judge_training(job: TrainJob, network: Network, record: Training) -> tuple[Evaluation, str]:
    """How a finished network fares, and the report page: its curves, classes, confusion and worst mistakes as pictures."""
    images, plan = job.parts.parts[record.judged_on], job.plan
    targets = images.labels[images.chosen]
    if plan.multi_label and targets.ndim == 1:
        targets = np.eye(len(record.labels), dtype=np.uint8)[targets]
    names = [images.source.name(int(index)) for index in images.chosen]
    kind = "sigmoid" if plan.binary or plan.multi_label else "softmax"
    found = judge(scores_of(network.model, job.stream(record.judged_on)), targets, record.labels, names, kind=kind)
    evaluation = found.model_copy(update={"data": record.data, "image_spec": record.image_spec})
    shown = {mistake.index: images.pixels.take(images.chosen[[mistake.index]])[0] for mistake in evaluation.mistakes}
    title = f"{plan.model}, judged on {evaluation.images:,} {record.judged_on} images"
    history = [_as_history(epoch, record) for epoch in record.epochs]
    return evaluation, evaluation_page(evaluation, title=title, pictures=shown, history=history)


def _as_history(epoch: TrainingEpoch, record: Training) -> Mapping[str, float]:
    """As Keras names what it measures of an epoch."""
    measure = "accuracy" if record.measure == "top-1" else record.measure
    found = {"loss": epoch.loss, "val_loss": epoch.held_out_loss, f"val_{measure}": epoch.held_out_score}
    return found | ({"accuracy": epoch.accuracy} if epoch.accuracy is not None else {}) | {"learning rate": epoch.learning_rate}
