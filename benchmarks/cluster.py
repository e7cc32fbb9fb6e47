"""Accuracy on a Dask cluster of two local workers against one: 10,000 images, and the answers against those of this process's own crew."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import LocalCluster

from _artifacts import PREPROCESS, make_artifacts
from edgecls.data import synthetic_pixels
from edgecls.data.pixel_file import PixelWriter
from edgecls.evaluation import dask_pool
from edgecls.evaluation.accuracy import Exam
from edgecls.evaluation.answers import Answers
from edgecls.evaluation.cluster import examine_on
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner

IMAGES = 10_000
REPEATS = 2
SPEC = ImageSpec(height=224, width=224, channels=3).with_preprocess(PREPROCESS)


def main() -> None:
    """Measure in turns and print the medians."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    winners: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as name, PixelWriter((224, 224, 3), "uint8", IMAGES) as writer:
        model = make_artifacts(Path(name), targets="tflite", schemes="float32")["tflite-float32"]
        images = synthetic_pixels(SPEC, 100)
        for index in range(IMAGES):
            writer.append(images[index % len(images)])
        exam = Exam("a", model, SPEC, writer.finish(), None)
        for _ in range(REPEATS):
            for workers, times in seconds.items():
                found, elapsed = _run(exam, workers)
                winners.append(found.winners)
                times.append(elapsed)
    one, two = (statistics.median(times) for times in seconds.values())
    same = all(np.array_equal(found, winners[0]) for found in winners)
    print(f"| {IMAGES} images | seconds | images/s |\n| --- | --- | --- |")
    print(f"| 1 worker | {one:.1f} | {IMAGES / one:.0f} |\n| 2 workers | {two:.1f} | {IMAGES / two:.0f} |")
    print(f"\n{one / two:.2f} times as fast; the same answers: {'yes' if same else 'NO'}")


def _run(exam: Exam, workers: int) -> tuple[Answers, float]:
    quiet: Any = {"dashboard_address": None, "worker_dashboard_address": None}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", **quiet) as cluster,
        dask_pool(cluster.scheduler_address) as pool,
    ):
        start = time.perf_counter()
        found = examine_on(pool, [exam], open_runner, timeout_s=300, progress=lambda *_: None)["a"]
        elapsed = time.perf_counter() - start
    assert isinstance(found, Answers), found
    return found, elapsed


if __name__ == "__main__":
    main()
