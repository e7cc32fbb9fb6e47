"""The desk of a worker: one artifact is open there at a time."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.crew.jobs import OpenRunner
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.runner import Runner
from edgecls.system.memory import peak_memory_bytes


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
    runner.prepare(random_images(runner, 1))
    start = time.perf_counter_ns()
    runner.invoke()
    first_ms = (time.perf_counter_ns() - start) / 1e6
    return Opened(runner.spec, runner.outputs, runner.output_kind, runner.stand_in, load_ms, first_ms, runner.engine())


def reopen_artifact(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> None:
    """Open an artifact again, with another number of threads."""
    runner = _open(open_runner, path, spec, threads)
    runner.prepare(random_images(runner, 1))


def own_memory_bytes() -> int:
    """Largest memory since the artifact was opened, less what the worker took before."""
    return max(0, peak_memory_bytes() - _desk.empty_bytes)


def runner_at(open_runner: OpenRunner, path: Path, spec: ImageSpec | None) -> Runner:
    """The runner of an artifact with one thread: the one that is open, where it is this one's."""
    if _desk.runner is not None and _desk.key == _key(open_runner, path, spec, 1):
        return _desk.runner
    return _open(open_runner, path, spec, threads=1)


def _open(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> Runner:
    _desk.key = _desk.runner = None  # the former one is freed first
    _desk.runner = open_runner(path, spec=spec, threads=threads)
    _desk.key = _key(open_runner, path, _desk.runner.spec, threads)
    return _desk.runner


def _key(open_runner: OpenRunner, path: Path, spec: ImageSpec | None, threads: int) -> tuple[object, ...]:
    return open_runner, str(path), "" if spec is None else spec.model_dump_json(), threads


def open_runner_here() -> Runner:
    """The runner of the artifact that is open."""
    assert _desk.runner is not None  # open_artifact came first
    return _desk.runner


def random_images(runner: Runner, count: int) -> np.ndarray:
    """Pixels [count, height, width, channels], the same every time."""
    shape = (count, runner.spec.height, runner.spec.width, runner.spec.channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def _reset_peak() -> None:
    """Let the kernel start its peak anew (Linux); elsewhere the peak of the imports stays the baseline."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as control:
        control.write("5")
