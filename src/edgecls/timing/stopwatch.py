"""What times the artifact that is open at a worker's desk."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgecls.crew.desk import open_runner_here, random_images
from edgecls.records.latency import Throughput
from edgecls.timing.conditions import Counters, read_counters

_UNTIMED = 2  # inferences before each turn: the caches hold another artifact's data


@dataclass(frozen=True)
class Turn:
    """What one turn measured.

    Attributes:
        samples_ns: of each inference, int64 [n].
        machine: what the machine did meanwhile.
    """

    samples_ns: np.ndarray
    machine: Counters


def warm_up(seconds: float, runs: int) -> int:
    """Run the open artifact untimed, at least so long and so often; the number of inferences."""
    return len(sample(open_runner_here().invoke, seconds, runs))


def take_turn(seconds: float, runs: int) -> Turn:
    """Time the open artifact, at least so long and so often."""
    before = read_counters()
    for _ in range(_UNTIMED):
        open_runner_here().invoke()
    samples = np.asarray(sample(open_runner_here().invoke, seconds, runs), np.int64)
    return Turn(samples, read_counters().since(before))


def measure_throughput(batch: int, seconds: float, runs: int, threads: int) -> Throughput:
    """Time the open artifact on `batch` images at once; afterwards it takes one again."""
    runner = open_runner_here()
    at_once = runner.set_batch(batch)
    runner.prepare(random_images(runner, at_once))
    calls = -(-batch // at_once)  # one after another where the file allows no more at once

    def run() -> None:
        for _ in range(calls):
            runner.invoke()

    try:
        sample(run, seconds / 10, 2)
        samples = sample(run, seconds, runs)
    finally:
        runner.set_batch(1)
        runner.prepare(random_images(runner, 1))
    return Throughput(
        batch=batch,
        engine_batch=at_once,
        threads=threads,
        images_per_second=batch * len(samples) * 1e9 / sum(samples),
        batch_p50_ms=float(np.median(samples)) / 1e6,
        batches=len(samples),
    )


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
