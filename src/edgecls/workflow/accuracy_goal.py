"""What `--mixed-precision` goes by: the drop of an int8 TFLite model on the user's images, measured as `bench` measures accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.data import ImageSet, open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import DataError, SchemeError
from edgecls.evaluation.answers import Answers, flips_of, join, judge_scores
from edgecls.quantization.accuracy_goal import HALVES, AccuracyGoal, Half, parse_goal
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.event import Event, OnEvent
from edgecls.records.metadata import ArtifactMetadata

BATCH = 64


def check_goal(text: str | None, data: Path | None, keep_float: Sequence[str]) -> None:
    """Refuse a goal that cannot be followed, before any work.

    Raises:
        SchemeError: no goal, no images to measure it on, or layers named beside it.
    """
    if text is None:
        return
    parse_goal(text)
    if keep_float:
        raise SchemeError(
            "--keep-float or --mixed-precision", "both", "name the layers yourself, or let the goal choose: leave one out"
        )
    if data is None:
        raise SchemeError("images to measure the drop on with --mixed-precision", "no --data", "name some with --data PATH")


def accuracy_goal(
    text: str | None,
    data: Path | None,
    record: ArtifactMetadata,
    folder: Path,
    threads: int,
    on_event: OnEvent,
) -> AccuracyGoal | None:
    """Goal and measure of `drop<=0.5` on images, every second of which chooses while the others judge; None without a goal.

    Args:
        folder: where models may be written to be measured.
        on_event: told what was measured, for people who wait.

    Raises:
        DataError: too few images to have two halves, or labels that the model's scores cannot be held against.
    """
    if text is None or data is None:
        return None
    images = open_images(data, record.image_spec, role="data", labels=record.labels)
    if len(images) < 2:
        raise DataError("at least two images in --data for --mixed-precision", f"{len(images)}", "give some hundreds")
    require_fitting(images, record.output_kind, record.outputs)
    if images.multi_hot and not all(_half(images.labels, half).any() for half in HALVES):
        raise DataError("classes on both halves of --data for --mixed-precision", "one half without any", "give more images")
    measure = _Measure(
        images,
        record,
        folder,
        threads,
        lambda drop, count: on_event(Event(f"--mixed-precision {text}: model {count} drops {drop:.2f} points")),
    )
    halves = len(images) - len(images) // 2, len(images) // 2
    of = "mAP" if images.multi_hot else "top-1" if images.labelled else "agreement"
    return AccuracyGoal(parse_goal(text), measure, of, halves)


class _Measure:
    def __init__(
        self, images: ImageSet, record: ArtifactMetadata, folder: Path, threads: int, tell: Callable[[float, int], None]
    ) -> None:
        self._images, self._record, self._folder, self._threads = images, record, folder, threads
        self._tell, self._count = tell, 0
        self._reference: dict[str, Answers] = {}

    def __call__(self, float_model: bytes, model: bytes, half: Half) -> float:
        if half not in self._reference:
            self._reference[half] = self._answers(float_model, half)
        drop = _drop(self._reference[half], self._answers(model, half), _half(self._images.labels, half))
        self._count += 1
        self._tell(drop, self._count)
        return drop

    def _answers(self, model: bytes, half: Half) -> Answers:
        from edgecls.runners import open_runner

        path = self._folder / "measured.tflite"
        path.write_bytes(model)
        try:
            runner = open_runner(path, spec=self._record.image_spec, threads=self._threads)
            chosen = _half(np.arange(len(self._images)), half)
            parts = []
            for start in range(0, len(chosen), BATCH):
                indices = chosen[start : start + BATCH]
                labels = None if self._images.labels is None else self._images.labels[indices]
                parts.append(judge_scores(runner.predict(self._images.pixels.take(indices)), labels, self._record.output_kind))
            return join(parts)
        finally:
            path.unlink()


def _half(values: np.ndarray | None, half: Half) -> Any:
    """Every second of the values; None where there are none."""
    return None if values is None else values[HALVES.index(half) :: 2]


def _drop(reference: Answers, answers: Answers, labels: np.ndarray | None) -> float:
    """Percentage points of top-1, of mean average precision where labels are multi-hot, or of agreement without labels."""
    if labels is not None and reference.scores is not None and answers.scores is not None:
        return 100 * (mean_average_precision(labels, reference.scores) - mean_average_precision(labels, answers.scores))
    if reference.top1 is not None and answers.top1 is not None:
        return 100 * float(reference.top1.mean(dtype=np.float64) - answers.top1.mean(dtype=np.float64))
    flips = flips_of(answers, reference, "float")
    return 100 * flips.count / flips.images
