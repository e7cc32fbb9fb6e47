"""What asks the artifact at a worker's desk about a share of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.crew.desk import runner_at
from edgecls.crew.jobs import OpenRunner
from edgecls.data import PixelFile
from edgecls.evaluation.answers import Answers, judge_scores
from edgecls.records.image_spec import ImageSpec


def judge_share(
    open_runner: OpenRunner,
    path: Path,
    spec: ImageSpec | None,
    pixels: PixelFile,
    start: int,
    labels: np.ndarray | None,
    count: int,
) -> Answers:
    """Answers of an artifact on `count` images from `start`, single-threaded; it stays open for the next share."""
    runner = runner_at(open_runner, path, spec)
    return judge_scores(runner.predict(pixels.read(start, start + count)), labels, runner.output_kind)
