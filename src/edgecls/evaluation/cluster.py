"""Accuracy on many machines: shares of the images given to any `concurrent.futures` executor, a Dask cluster among them.

A worker on this machine reads pixels where they lie. One on another says that it lacks them, and from then on they travel with each
share; an artifact's files travel once to each worker that says so. Shares begin where batches begin, as on this machine, so the answers
are the same bit by bit (on processors of one kind).
Latency is never measured there: a worker that others use tells nothing about an artifact.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.crew.jobs import Failure, OpenRunner, failure_of
from edgecls.data import PixelFile
from edgecls.errors import EdgeclsError, InputError
from edgecls.evaluation.accuracy import Exam, Share, cut
from edgecls.evaluation.answers import Answers, join, judge_scores
from edgecls.evaluation.parcel import Parcel
from edgecls.records.image_spec import ImageSpec
from edgecls.records.runner import Runner
from edgecls.system.extras import require
from edgecls.system.private_folder import temporary_folder
from edgecls.version import __version__

_CONNECT_S = 10.0
_AHEAD = 2  # shares given out for each that can run: the next one is there when one ends, and memory holds no more
_here = threading.local()  # a worker of a cluster runs several tasks side by side, each in a thread


@dataclass(frozen=True)
class Pool:
    """An executor, how many tasks it runs at once, and in how many processes."""

    executor: concurrent.futures.Executor
    slots: int
    workers: int = 1


@dataclass(frozen=True)
class Images:
    """A share's images on their way to a worker.

    Attributes:
        file: where they lie on the machine that sends them.
        mark: what tells that file from any other of its name: inode, size, time of the last change in ns.
        start, stop: which of them.
        pixels: [N, H, W, C]; None while the worker may be able to read them there.
    """

    file: PixelFile
    mark: tuple[int, int, int]
    start: int
    stop: int
    pixels: np.ndarray | None = None

    def here(self) -> np.ndarray | None:
        """The pixels, if they came along or lie here."""
        if self.pixels is not None:
            return self.pixels
        with contextlib.suppress(OSError):
            if _mark(self.file) == self.mark:
                return self.file.read(self.start, self.stop)
        return None


@dataclass(frozen=True)
class Lack:
    """What a worker needs before it can answer."""

    files: bool
    pixels: bool


@contextlib.contextmanager
def dask_pool(address: str) -> Iterator[Pool]:
    """Connect to the scheduler of a Dask cluster.

    Args:
        address: as `tcp://10.0.0.5:8786`.

    Raises:
        MissingExtraError: Dask is not installed.
        InputError: no scheduler answers there, it has no workers, or they have another version of edgecls.
    """
    distributed: Any = require("distributed", extra="cluster")
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError("a Dask scheduler", f"{address}: {error}", "start one with `dask scheduler`") from None
    with client:
        threads = client.nthreads()
        slots = sum(threads.values())
        if not slots:
            raise InputError("a cluster with workers", f"{address} without any", f"start some with `dask worker {address}`")
        _check_versions(client, address)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # pixels and artifacts are meant to travel
            yield Pool(client.get_executor(pure=False), slots, len(threads))


def examine_on(
    pool: Pool,
    exams: Sequence[Exam],
    open_runner: OpenRunner,
    *,
    timeout_s: float,
    progress: Callable[[str, int, int], None],
) -> dict[str, Answers | Failure]:
    """Put all exams to the workers of an executor, as `accuracy.examine` does to those of this machine.

    Args:
        timeout_s: an exam fails when none of the shares given out comes back within so long.
    """
    return _Post(pool, exams, open_runner, timeout_s).run(progress)


def judge_parcel(
    open_runner: OpenRunner, parcel: Parcel, spec: ImageSpec | None, images: Images, labels: np.ndarray | None
) -> Answers | Lack:
    """Answers of an artifact to a share's images, in a worker; or what has to be sent for that."""
    runner, pixels = _open_parcel(open_runner, parcel, spec), images.here()
    if runner is None or pixels is None:
        return Lack(files=runner is None, pixels=pixels is None)
    return judge_scores(runner.predict(pixels), labels, runner.output_kind)


def _open_parcel(open_runner: OpenRunner, parcel: Parcel, spec: ImageSpec | None) -> Runner | None:
    key = (open_runner, parcel.sha256, "" if spec is None else spec.model_dump_json())
    if getattr(_here, "key", None) == key:
        return _here.runner
    if parcel.files is None:
        return None
    _here.key = _here.runner = None  # the former one is freed first
    with temporary_folder() as folder:
        _here.runner = open_runner(parcel.unpack(folder), spec=spec, threads=1)
    _here.key = key
    return _here.runner


class _Post:
    def __init__(self, pool: Pool, exams: Sequence[Exam], open_runner: OpenRunner, timeout_s: float) -> None:
        self._pool, self._exams, self._open_runner, self._timeout_s = pool, exams, open_runner, timeout_s
        self._queue = collections.deque(cut(exams, pool.slots))
        self._under_way: dict[concurrent.futures.Future[Answers | Lack], Share] = {}
        self._parts: list[dict[int, Answers]] = [{} for _ in exams]
        self._failures: dict[int, Failure] = {}
        self._parcels = [Parcel.of(exam.path) for exam in exams]
        self._pixels_travel = False

    def run(self, progress: Callable[[str, int, int], None]) -> dict[str, Answers | Failure]:
        """Until every share is back or its exam has failed."""
        while self._queue or self._under_way:
            self._give_out()
            done, _ = concurrent.futures.wait(self._under_way, self._timeout_s, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                share = self._under_way.pop(future)
                self._collect(share, future)
                exam = self._exams[share.exam]
                progress(exam.name, sum(len(part.winners) for part in self._parts[share.exam].values()), exam.pixels.count)
            if not done:
                self._give_up()
        return {
            exam.name: self._failures.get(index) or join([part for _, part in sorted(self._parts[index].items())])
            for index, exam in enumerate(self._exams)
        }

    def _give_out(self) -> None:
        while self._queue and len(self._under_way) < _AHEAD * self._pool.slots:
            share = self._queue.popleft()
            if share.exam not in self._failures:
                self._send(share, self._parcels[share.exam])

    def _send(self, share: Share, parcel: Parcel) -> None:
        exam = self._exams[share.exam]
        stop = share.start + share.count
        labels = None if exam.labels is None else exam.labels[share.start : stop]
        images = Images(exam.pixels, _mark(exam.pixels), share.start, stop)
        if self._pixels_travel:
            images = dataclasses.replace(images, pixels=exam.pixels.read(share.start, stop))
        future = self._pool.executor.submit(judge_parcel, self._open_runner, parcel, exam.spec, images, labels)
        self._under_way[future] = share

    def _collect(self, share: Share, future: concurrent.futures.Future[Answers | Lack]) -> None:
        try:
            found = future.result()
        except EdgeclsError as error:
            self._failures.setdefault(share.exam, failure_of(error, self._timeout_s))
        except Exception as error:  # noqa: BLE001 - process border: an executor raises what the task raised, or its own words for a dead worker
            lost = isinstance(error, concurrent.futures.BrokenExecutor) or type(error).__name__ == "KilledWorker"
            words = f"the worker process that ran it died: {error}" if lost else f"{type(error).__name__}: {error}"
            self._failures.setdefault(share.exam, Failure("crashed" if lost else "failed", " ".join(words.split())[:300]))
        else:
            if isinstance(found, Answers):
                self._parts[share.exam][share.start] = found
            elif share.exam not in self._failures:
                self._pixels_travel |= found.pixels
                parcel = self._parcels[share.exam]
                self._send(share, parcel.filled() if found.files else parcel)

    def _give_up(self) -> None:
        for future, share in self._under_way.items():
            future.cancel()
            self._failures.setdefault(share.exam, failure_of(TimeoutError(), self._timeout_s))
        self._under_way.clear()


def _mark(file: PixelFile) -> tuple[int, int, int]:
    found = Path(file.path).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_versions(client: Any, address: str) -> None:
    remedy = f"install edgecls {__version__} where the workers run"
    try:
        found = client.run(_version)
    except ImportError as error:
        raise InputError("workers with edgecls installed", f"{address}: {error}", remedy) from None
    others = sorted({version for version in found.values() if version != __version__})
    if others:
        raise InputError(f"workers with edgecls {__version__}", f"{address} with {', '.join(others)}", remedy)


def _version() -> str:
    return __version__
