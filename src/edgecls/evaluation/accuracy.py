"""Accuracy: the images of all artifacts in shares, given out to as many single-threaded workers as there are cores."""

from __future__ import annotations

import collections
import concurrent.futures
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.crew.crew import START_TIMEOUT_S
from edgecls.crew.jobs import Failure, OpenRunner, failure_of
from edgecls.data import PixelFile
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.evaluation.answers import Answers, join
from edgecls.evaluation.shares import judge_share
from edgecls.records.image_spec import ImageSpec
from edgecls.system.worker import Worker, preload

_ALIGNMENT = (
    8  # shares begin where batches of runners (1, 2, 4 or 8 images) begin: the same batches and bits, whatever the workers
)
_SHARE_BYTES = 16 << 20  # giving out smaller ones took a Dask cluster of two a tenth of its time
_MOST_IMAGES = 512


@dataclass(frozen=True)
class Exam:
    """One artifact and the images it is asked about.

    Attributes:
        labels: class index per image, multi-hot rows, or None.
    """

    name: str
    path: Path
    spec: ImageSpec | None
    pixels: PixelFile
    labels: np.ndarray | None


@dataclass(frozen=True)
class Share:
    """`count` images from `start` of one exam, by its index."""

    exam: int
    start: int
    count: int


@dataclass(frozen=True)
class _Task:
    """What a worker is doing until `deadline`; without a share, it is still importing, which is no artifact's time."""

    worker: Worker
    share: Share | None
    deadline: float


def examine(
    exams: Sequence[Exam],
    workers: Sequence[Worker],
    open_runner: OpenRunner,
    *,
    hire: Callable[[], Worker],
    timeout_s: float,
    progress: Callable[[str, int, int], None],
) -> dict[str, Answers | Failure]:
    """Put all exams to the workers.

    Args:
        workers: idle ones, or such that are still importing; each takes the next share when it is done with one.
        hire: a new worker in the place of one that died or was too slow.
        progress: told (exam, images done, images) after every share.
    """
    return _Hall(exams, workers, open_runner, hire, timeout_s).run(progress)


def cut(exams: Sequence[Exam], workers: int) -> list[Share]:
    """All shares of all exams, one exam after another."""
    return [Share(index, *share) for index, exam in enumerate(exams) for share in shares(exam.pixels, workers)]


def shares(pixels: PixelFile, workers: int) -> Iterator[tuple[int, int]]:
    """(start, count) of shares that shrink towards the end, so that all workers finish together; each small enough for memory."""
    image_bytes = int(np.prod(pixels.shape)) * np.dtype(pixels.dtype).itemsize
    most = int(np.clip(_SHARE_BYTES // image_bytes, _ALIGNMENT, _MOST_IMAGES)) // _ALIGNMENT * _ALIGNMENT
    start = 0
    while start < pixels.count:
        fair = -(-(pixels.count - start) // (2 * workers * _ALIGNMENT)) * _ALIGNMENT
        count = min(most, fair, pixels.count - start)
        yield start, count
        start += count


class _Hall:
    def __init__(
        self,
        exams: Sequence[Exam],
        workers: Sequence[Worker],
        open_runner: OpenRunner,
        hire: Callable[[], Worker],
        timeout_s: float,
    ) -> None:
        self._exams, self._open_runner, self._hire, self._timeout_s = exams, open_runner, hire, timeout_s
        self._idle: list[Worker] = []
        self._queue = collections.deque(cut(exams, len(workers)))
        self._busy: dict[concurrent.futures.Future[Any], _Task] = {}
        self._parts: list[dict[int, Answers]] = [{} for _ in exams]
        self._failures: dict[int, Failure] = {}
        for worker in workers:
            self._welcome(worker)

    def run(self, progress: Callable[[str, int, int], None]) -> dict[str, Answers | Failure]:
        """Until every share is done or its exam has failed."""
        while self._queue or any(task.share for task in self._busy.values()):  # nobody waits for imports that are of no use
            self._give_out()
            if not self._busy:
                self._give_up()
                break
            first_deadline = min(task.deadline for task in self._busy.values())
            done, _ = concurrent.futures.wait(
                self._busy, max(0.0, first_deadline - time.monotonic()), concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                share = self._collect(future)
                if share is not None:
                    exam = self._exams[share.exam]
                    progress(exam.name, sum(len(part.winners) for part in self._parts[share.exam].values()), exam.pixels.count)
            if not done:
                self._stop_late()
        return {
            exam.name: self._failures.get(index) or join([part for _, part in sorted(self._parts[index].items())])
            for index, exam in enumerate(self._exams)
        }

    def _welcome(self, worker: Worker) -> None:
        """Wait for a worker's imports before it gets a share."""
        self._busy[worker.start(preload, [])] = _Task(worker, None, time.monotonic() + START_TIMEOUT_S)

    def _give_up(self) -> None:
        """Fail what is left when no worker is."""
        for share in self._queue:
            self._failures.setdefault(share.exam, Failure("crashed", "no process to run it could be started"))

    def _give_out(self) -> None:
        while self._idle and self._queue:
            share = self._queue.popleft()
            if share.exam in self._failures:
                continue
            worker, exam = self._idle.pop(), self._exams[share.exam]
            labels = None if exam.labels is None else exam.labels[share.start : share.start + share.count]
            future = worker.start(
                judge_share, self._open_runner, exam.path, exam.spec, exam.pixels, share.start, labels, share.count
            )
            self._busy[future] = _Task(worker, share, time.monotonic() + self._timeout_s)

    def _collect(self, future: concurrent.futures.Future[Any]) -> Share | None:
        """Take a result in; the share it belongs to, None where a worker has merely finished importing."""
        task = self._busy.pop(future)
        worker, share = task.worker, task.share
        try:
            found = future.result()
        except (EdgeclsError, RemoteError) as error:
            failure = failure_of(error, self._timeout_s)
            if share is None:
                return None  # it did not even start: go on without it
            self._failures.setdefault(share.exam, failure)
            if failure.status == "crashed":
                self._welcome(self._hire())
                return share
        else:
            if share is not None:
                self._parts[share.exam][share.start] = found
        self._idle.append(worker)
        return share

    def _stop_late(self) -> None:
        now = time.monotonic()
        for future, task in list(self._busy.items()):
            if task.deadline <= now:
                del self._busy[future]
                task.worker.kill()
                if task.share is not None:
                    self._failures.setdefault(task.share.exam, failure_of(TimeoutError(), self._timeout_s))
                    self._welcome(self._hire())
