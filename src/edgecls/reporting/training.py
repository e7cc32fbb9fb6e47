"""What is told of a training: a line an epoch, and what came out."""

from __future__ import annotations

from pathlib import Path

from edgecls.records.training import Training, TrainingEpoch, TrainingMeasure, TrainingPlan
from edgecls.reporting.units import format_bytes


def describe_training_epoch(epoch: TrainingEpoch, plan: TrainingPlan, measure: TrainingMeasure, left: str) -> str:
    """One line: `training, epoch 3 of 10: loss 0.812, held-out loss 0.702, top-1 74.10 %, 812 images/s, 1 min 20 s left`."""
    parts = [
        f"loss {epoch.loss:.4f}",
        f"held-out loss {epoch.held_out_loss:.4f}",
        f"{measure} {epoch.held_out_score:.2%}",
        f"{epoch.images_per_s:.0f} images/s",
    ]
    total = plan.epochs + plan.fine_tune
    return f"{epoch.phase}, epoch {epoch.epoch} of {total}: {', '.join(parts + [left] * bool(left and epoch.epoch < total))}"


def describe_training(training: Training) -> list[str]:
    """What came out, in lines."""
    kept = next(epoch for epoch in training.epochs if epoch.epoch == training.kept_epoch)
    counts = ", ".join(f"{part.images} {name}" for name, part in training.parts.items())
    lines = [
        f"{Path(training.plan.model).name}: {training.parameters:,} parameters, {len(training.labels)} classes; images: {counts}",
        f"epoch {kept.epoch} of {len(training.epochs)} kept: {training.measure} {kept.held_out_score:.2%} held out; "
        f"{training.seconds:.0f} s, {training.cpu_seconds:.0f} s of processor time, {format_bytes(training.peak_memory_bytes)} of memory",
    ]
    chose = ", which also chose the epoch" if training.judged_on == "held-out" else ""
    judged = f"judged on the {training.judged_on} images{chose}:" if training.judged_on else ""
    return [*lines, *(line for line in (training.stopped, judged) if line)]
