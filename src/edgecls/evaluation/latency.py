"""Latency, load time and memory: one worker for each artifact, taking turns, one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edgecls.errors import EdgeclsError
from edgecls.evaluation import probe
from edgecls.evaluation.crew import START_TIMEOUT_S, Crew, ask, engines
from edgecls.evaluation.jobs import BenchJob, BenchOptions, Event, Failure, OnEvent, OpenRunner, failure_of
from edgecls.measurement import Latency
from edgecls.worker import RemoteError, Worker, preload

R = TypeVar("R")


@dataclass(frozen=True)
class Timing:
    """What one artifact's own process measured.

    Attributes:
        latency: None where a stand-in computes.
        peak_memory_bytes: largest resident memory while it was opened and run, above what the process took before, with Python and the
            engine's libraries loaded and no model. It includes the pages of the file that were touched.
    """

    opened: probe.Opened
    latency: Latency | None
    peak_memory_bytes: int


def measure_latency(
    jobs: Sequence[BenchJob], crew: Crew, open_runner: OpenRunner, options: BenchOptions, on_event: OnEvent
) -> tuple[dict[str, Timing | Failure], list[Worker]]:
    """Time every job; the workers that are still alive come back for further use.

    The artifacts take turns, `rounds` times, in rotated order, so that drift of the machine hits all alike. While one is measured, all
    other workers wait without using the processor.
    """
    turns = _Turns(crew, open_runner, options, on_event)
    turns.open(jobs)
    turns.sample()
    return turns.results()


def summarize(samples_ns: np.ndarray, warmup_runs: int) -> Latency:
    """Percentiles of all samples (linear between neighbours); samples are kept to a tenth of a microsecond."""
    samples = samples_ns / 1e6
    p50, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
    return Latency(
        runs=len(samples),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        min_ms=float(samples.min()),
        max_ms=float(samples.max()),
        samples_ms=np.round(samples, 4).tolist(),
        warmup_runs=warmup_runs,
    )


class _Turns:
    """The workers of one run; an artifact that failed is not asked again."""

    def __init__(self, crew: Crew, open_runner: OpenRunner, options: BenchOptions, on_event: OnEvent) -> None:
        self._crew, self._open_runner, self._options, self._on_event = crew, open_runner, options, on_event
        self._workers: dict[str, Worker] = {}
        self._opened: dict[str, probe.Opened] = {}
        self._warmups: dict[str, int] = {}
        self._samples: dict[str, list[np.ndarray]] = {}
        self._failures: dict[str, Failure] = {}

    def open(self, jobs: Sequence[BenchJob]) -> None:
        """Open all, one after another. The first does not wait for the others' processes to start, and they do not disturb it."""
        for index, job in enumerate(jobs):
            if index < 2:
                self._hire(jobs[:1] if index == 0 else jobs[1:])
            opened = self._ask(job.name, probe.open_artifact, self._open_runner, job.path, job.spec, self._options.threads)
            if opened is not None:
                self._opened[job.name] = opened
            self._on_event(Event("load", job.name, index + 1, len(jobs)))

    def sample(self) -> None:
        """Warm up and take turns."""
        options = self._options
        for name in self._timed():
            self._warmups[name] = self._ask(name, probe.warm_up, options.warmup_seconds, options.warmup_runs) or 0
        seconds, runs = options.min_seconds / options.rounds, math.ceil(options.min_runs / options.rounds)
        for turn in range(options.rounds):
            names = self._timed()
            shift = turn % max(len(names), 1)
            for name in names[shift:] + names[:shift]:
                samples = self._ask(name, probe.take_turn, seconds, runs)
                if samples is not None:
                    self._samples.setdefault(name, []).append(samples)
                self._on_event(Event("latency", name, turn + 1, options.rounds))

    def results(self) -> tuple[dict[str, Timing | Failure], list[Worker]]:
        """Everything measured, and the workers that are still alive."""
        timings: dict[str, Timing | Failure] = {}
        for name in self._alive():
            peak = self._ask(name, probe.own_memory_bytes)
            if peak is not None:
                samples = self._samples.get(name)
                latency = summarize(np.concatenate(samples), self._warmups[name]) if samples else None
                timings[name] = Timing(self._opened[name], latency, peak)
        return {**timings, **self._failures}, [self._workers[name] for name in self._alive()]

    def _hire(self, jobs: Sequence[BenchJob]) -> None:
        """Start workers side by side and wait until each has loaded its engine."""
        for job in jobs:
            modules = [probe.__name__, self._open_runner.__module__, *engines([job.target])]
            self._workers[job.name] = self._crew.hire(modules)
        for job in jobs:
            self._ask(job.name, preload, [], timeout_s=START_TIMEOUT_S)

    def _alive(self) -> list[str]:
        return [name for name in self._opened if name not in self._failures]

    def _timed(self) -> list[str]:
        """Those whose own engine runs: a stand-in's time says nothing about the artifact."""
        return [name for name in self._alive() if not self._opened[name].stand_in]

    def _ask(self, name: str, function: Callable[..., R], *args: object, timeout_s: float | None = None) -> R | None:
        """Have an artifact's worker do something; None where that failed, now or before."""
        if name in self._failures:
            return None
        timeout_s = timeout_s or self._options.timeout_s
        try:
            return ask(self._workers[name], timeout_s, function, *args)
        except (EdgeclsError, RemoteError, TimeoutError) as error:
            self._failures[name] = failure_of(error, timeout_s)
            return None
