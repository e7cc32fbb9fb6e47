"""What runs inside a worker: one artifact is open at a time, and these functions time it and question it."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.artifact import OutputKind
from edgecls.data import PixelFile
from edgecls.evaluation.answers import Answers, judge_scores
from edgecls.evaluation.conditions import Counters, read_counters
from edgecls.evaluation.jobs import OpenRunner
from edgecls.image_spec import ImageSpec
from edgecls.measurement import Engine, Throughput
from edgecls.runner import Runner
from edgecls.worker import peak_memory_bytes

_UNTIMED = 2  # inferences before each turn: the caches hold another artifact's data


@dataclass(frozen=True)
class Opened:
    """What opening an artifact told and took.

    Attributes:
        stand_in: as in `Runner`: where it is not empty, the times are not the artifact's.
    """

    spec: ImageSpec
    outputs: int
    output_kind: OutputKind
    stand_in: str
    load_ms: float
    first_inference_ms: float
    engine: Engine


@dataclass(frozen=True)
class Turn:
    """What one turn measured.

    Attributes:
        samples_ns: of each inference, int64 [n].
        machine: what the machine did meanwhile.
    """

    samples_ns: np.ndarray
    machine: Counters


@dataclass
class _Desk:
    """The artifact this worker has open."""

    key: tuple[object, ...] | None = None
    runner: Runner | None = None
    empty_bytes: int = 0


_desk = _Desk()


def open_artifact(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> Opened:
    """Open an artifact in a fresh worker and run it once, timing both. The engine's modules are imported before."""
    _reset_peak()
    _desk.empty_bytes = peak_memory_bytes()
    start = time.perf_counter_ns()
    runner = _open(open_runner, path, spec, threads)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    runner.prepare(_images(runner, 1))
    start = time.perf_counter_ns()
    runner.invoke()
    first_ms = (time.perf_counter_ns() - start) / 1e6
    return Opened(runner.spec, runner.outputs, runner.output_kind, runner.stand_in, load_ms, first_ms, runner.engine())


def reopen_artifact(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> None:
    """Open an artifact again, with another number of threads."""
    runner = _open(open_runner, path, spec, threads)
    runner.prepare(_images(runner, 1))


def warm_up(seconds: float, runs: int) -> int:
    """Run the open artifact untimed, at least so long and so often; the number of inferences."""
    return len(sample(_runner().invoke, seconds, runs))


def take_turn(seconds: float, runs: int) -> Turn:
    """Time the open artifact, at least so long and so often."""
    before = read_counters()
    for _ in range(_UNTIMED):
        _runner().invoke()
    samples = np.asarray(sample(_runner().invoke, seconds, runs), np.int64)
    return Turn(samples, read_counters().since(before))


def measure_throughput(batch: int, seconds: float, runs: int, threads: int) -> Throughput:
    """Time the open artifact on `batch` images at once; afterwards it takes one again."""
    runner = _runner()
    at_once = runner.set_batch(batch)
    runner.prepare(_images(runner, at_once))
    calls = batch // at_once  # one after another where the file allows no more than one image

    def run() -> None:
        for _ in range(calls):
            runner.invoke()

    try:
        sample(run, seconds / 10, 2)
        samples = sample(run, seconds, runs)
    finally:
        runner.set_batch(1)
        runner.prepare(_images(runner, 1))
    return Throughput(
        batch=batch,
        engine_batch=at_once,
        threads=threads,
        images_per_second=batch * len(samples) * 1e9 / sum(samples),
        batch_p50_ms=float(np.median(samples)) / 1e6,
        batches=len(samples),
    )


def own_memory_bytes() -> int:
    """Largest memory since the artifact was opened, less what the worker took before."""
    return max(0, peak_memory_bytes() - _desk.empty_bytes)


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
    runner = _desk.runner if _desk.key == _key(open_runner, path, spec, 1) else None
    if runner is None:
        runner = _open(open_runner, path, spec, threads=1)
    return judge_scores(runner.predict(pixels.read(start, start + count)), labels, runner.output_kind)


def _open(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> Runner:
    _desk.key = _desk.runner = None  # the former one is freed first
    _desk.runner = open_runner(path, spec=spec, threads=threads)
    _desk.key = _key(open_runner, path, _desk.runner.spec, threads)
    return _desk.runner


def _key(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> tuple[object, ...]:
    return open_runner, str(path), "" if spec is None else spec.model_dump_json(), threads


def _runner() -> Runner:
    assert _desk.runner is not None  # open_artifact came first
    return _desk.runner


def _images(runner: Runner, count: int) -> np.ndarray:
    shape = (count, runner.spec.height, runner.spec.width, runner.spec.channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def sample(invoke: Callable[[], object], seconds: float, runs: int, clock: Callable[[], int] = time.perf_counter_ns) -> list[int]:
    """The timing loop: nanoseconds of each call. Python's garbage collector rests meanwhile: its pauses are not the artifact's."""
    samples: list[int] = []
    enabled = gc.isenabled()
    gc.disable()
    try:
        end = clock() + int(seconds * 1e9)
        while True:
            start = clock()
            invoke()
            stop = clock()
            samples.append(stop - start)
            if stop >= end and len(samples) >= runs:
                return samples
    finally:
        if enabled:
            gc.enable()


def _reset_peak() -> None:
    """Let the kernel start its peak anew (Linux); elsewhere the peak of the imports stays the baseline."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as control:
        control.write("5")
