"""MeasuredDrop: what int8 costs on one half of the user's images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.data import ImageSet
from edgecls.evaluation.answers import Answers, flips_of, join, judge_scores
from edgecls.quantization.accuracy_goal import HALVES, Half
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.metadata import ArtifactMetadata

BATCH = 64


class MeasuredDrop:
    """How much a TFLite model loses against the float one, in percentage points, as `bench` measures accuracy.

    Args:
        images: every second one is of one half, the others of the other.
        record: what the model carries.
        folder: where models may be written to be measured.
        tell: told each drop and how many there were.
    """

    def __init__(
        self, images: ImageSet, record: ArtifactMetadata, folder: Path, threads: int, tell: Callable[[float, int], None]
    ) -> None:
        self._images, self._record, self._folder, self._threads = images, record, folder, threads
        self._tell, self._count = tell, 0
        self._reference: dict[str, Answers] = {}

    def __call__(self, float_model: bytes, model: bytes, half: Half) -> float:
        if half not in self._reference:
            self._reference[half] = self._answers(float_model, half)
        drop = _drop(self._reference[half], self._answers(model, half), half_of(self._images.labels, half))
        self._count += 1
        self._tell(drop, self._count)
        return drop

    def _answers(self, model: bytes, half: Half) -> Answers:
        from edgecls.runners import open_runner

        path = self._folder / "measured.tflite"
        path.write_bytes(model)
        try:
            runner = open_runner(path, spec=self._record.image_spec, threads=self._threads)
            chosen = half_of(np.arange(len(self._images)), half)
            parts = []
            for start in range(0, len(chosen), BATCH):
                indices = chosen[start : start + BATCH]
                labels = None if self._images.labels is None else self._images.labels[indices]
                parts.append(judge_scores(runner.predict(self._images.pixels.take(indices)), labels, self._record.output_kind))
            return join(parts)
        finally:
            path.unlink()


def half_of(values: np.ndarray | None, half: Half) -> Any:
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
