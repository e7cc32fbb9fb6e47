"""A trained network on the images that it is judged by: the test part where there is one, else those held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.evaluation.judged import judge
from edgecls.records.evaluation import Evaluation
from edgecls.records.training import Training, TrainingEpoch
from edgecls.reporting.evaluation_page import evaluation_page
from edgecls.reporting.plots import evaluation_plots
from edgecls.training.fitting import scores_of
from edgecls.training.networks import Network
from edgecls.workflow.train_job import TrainJob


def judged_on(job: TrainJob) -> str:
    """Name of the part that the finished network is judged by."""
    return "test" if "test" in job.parts.parts else "held-out"


@dataclass(frozen=True)
class JudgedTraining:
    """How a finished network fares, with what its page and plots show beside figures.

    Attributes:
        pictures: index of a mistake -> its pixels.
        history: of each epoch, as Keras names it.
    """

    evaluation: Evaluation
    pictures: dict[int, np.ndarray]
    history: list[dict[str, float]]

    def page(self, title: str) -> str:
        """The report: curves, classes, confusion, calibration and the worst mistakes as pictures."""
        return evaluation_page(self.evaluation, title=title, pictures=self.pictures, history=self.history)

    def plot(self, folder: Path) -> list[Path]:
        """The same as PNG files."""
        return evaluation_plots(self.evaluation, folder, pictures=self.pictures, history=self.history)


def judge_training(job: TrainJob, network: Network, record: Training, *, positive: str | None, recall: float) -> JudgedTraining:
    """Ask a finished network about the part that it is judged on.

    Args:
        positive, recall: as `evaluation.judged.judge` takes them.
    """
    images, plan = job.parts.parts[record.judged_on], job.plan
    targets = images.labels[images.chosen]
    if plan.multi_label and targets.ndim == 1:
        targets = np.eye(len(record.labels), dtype=np.uint8)[targets]
    names = [images.source.name(int(index)) for index in images.chosen]
    kind = "sigmoid" if plan.binary or plan.multi_label else "softmax"
    scores = scores_of(network.model, job.stream(record.judged_on))
    found = judge(scores, targets, record.labels, names, kind=kind, positive=positive, recall=recall)
    evaluation = found.model_copy(update={"data": record.data, "image_spec": record.image_spec})
    pictures = {mistake.index: images.pixels.take(images.chosen[[mistake.index]])[0] for mistake in evaluation.mistakes}
    return JudgedTraining(evaluation, pictures, [_as_history(epoch, record) for epoch in record.epochs])


def _as_history(epoch: TrainingEpoch, record: Training) -> dict[str, float]:
    """As Keras names what it measures of an epoch."""
    measure = "accuracy" if record.measure == "top-1" else record.measure
    found = {"loss": epoch.loss, "val_loss": epoch.held_out_loss, f"val_{measure}": epoch.held_out_score}
    return found | ({"accuracy": epoch.accuracy} if epoch.accuracy is not None else {}) | {"learning rate": epoch.learning_rate}
