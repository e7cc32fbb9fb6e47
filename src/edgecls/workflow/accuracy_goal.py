"""What `--mixed-precision` goes by: the drop of an int8 TFLite model on the user's images, measured as `bench` measures accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgecls.converters.accuracy_goal import AccuracyGoal, Half, parse_goal
from edgecls.data import ImageSet, open_images
from edgecls.errors import DataError, SchemeError
from edgecls.evaluation.answers import Answers, flips_of, join, judge_scores
from edgecls.metadata import ArtifactMetadata

BATCH = 64
_HALVES = {"choosing": 0, "judging": 1}


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
    tell: Callable[[str], None],
) -> AccuracyGoal | None:
    """Goal and measure of `drop<=0.5` on images, every second of which chooses while the others judge; None without a goal.

    Args:
        folder: where models may be written to be measured.
        tell: told what was measured, for people who wait.

    Raises:
        DataError: too few images to have two halves.
    """
    if text is None or data is None:
        return None
    images = open_images(data, record.image_spec, role="data", labels=record.labels)
    if len(images) < 2:
        raise DataError("at least two images in --data for --mixed-precision", f"{len(images)}", "give some hundreds")
    measure = _Measure(
        images,
        record,
        folder,
        threads,
        lambda drop, count: tell(f"--mixed-precision {text}: model {count} drops {drop:.2f} points"),
    )
    halves = len(images) - len(images) // 2, len(images) // 2
    return AccuracyGoal(parse_goal(text), measure, "top-1" if images.labelled else "agreement", halves)


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
        drop = _drop(self._reference[half], self._answers(model, half))
        self._count += 1
        self._tell(drop, self._count)
        return drop

    def _answers(self, model: bytes, half: str) -> Answers:
        from edgecls.runners import open_runner

        path = self._folder / "measured.tflite"
        path.write_bytes(model)
        try:
            runner = open_runner(path, spec=self._record.image_spec, threads=self._threads)
            chosen = np.arange(_HALVES[half], len(self._images), 2)
            parts = []
            for start in range(0, len(chosen), BATCH):
                indices = chosen[start : start + BATCH]
                labels = None if self._images.labels is None else self._images.labels[indices]
                parts.append(judge_scores(runner.predict(self._images.pixels.take(indices)), labels, self._record.output_kind))
            return join(parts)
        finally:
            path.unlink()


def _drop(reference: Answers, answers: Answers) -> float:
    """Percentage points of top-1, or of agreement without labels."""
    if reference.top1 is not None and answers.top1 is not None:
        return 100 * float(reference.top1.mean(dtype=np.float64) - answers.top1.mean(dtype=np.float64))
    flips = flips_of(answers, reference, "float")
    return 100 * flips.count / flips.images
