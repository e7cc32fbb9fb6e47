"""Latency, load time and memory: one worker for each artifact, taking turns, one at a time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from edgecls.errors import EdgeclsError
from edgecls.evaluation import probe
from edgecls.evaluation.conditions import conditions_of, load_average
from edgecls.evaluation.crew import START_TIMEOUT_S, Crew, ask, engines
from edgecls.evaluation.environment import Site
from edgecls.evaluation.jobs import BenchJob, BenchOptions, Event, Failure, OnEvent, OpenRunner, Profiler, failure_of
from edgecls.evaluation.statistics import median_interval, ratio_interval
from edgecls.evaluation.validity import judge_latency
from edgecls.measurement import (
    Histogram,
    Latency,
    LatencyRatio,
    Minute,
    Profile,
    Sustained,
    ThreadsLatency,
    Throughput,
)
from edgecls.worker import RemoteError, Worker, preload

R = TypeVar("R")
_BINS = 40
_RATIO_CONFIDENCE = 0.99  # of a hundred pairs that are equal, one is told apart
_MINUTE_S = 60.0
_PROFILED_RUNS = 50


@dataclass(frozen=True)
class Timing:
    """What one artifact's own process measured.

    Attributes:
        peak_memory_bytes: largest resident memory while it was opened and run, above what the process took before, with Python and the
            engine's libraries loaded and no model. It includes the pages of the file that were touched.
        latency: None where a stand-in answers.
        profile: or why there is none.
        not_measured: further figure that was asked for -> why there is none.
    """

    opened: probe.Opened
    latency: Latency | None
    peak_memory_bytes: int
    threads_latency: list[ThreadsLatency] = field(default_factory=list)
    throughput: list[Throughput] = field(default_factory=list)
    sustained: Sustained | None = None
    profile: Profile | str | None = None
    not_measured: dict[str, str] = field(default_factory=dict)


def measure_latency(
    jobs: Sequence[BenchJob],
    crew: Crew,
    open_runner: OpenRunner,
    options: BenchOptions,
    on_event: OnEvent,
    profiler: Profiler | None = None,
) -> tuple[dict[str, Timing | Failure], list[Worker]]:
    """Time every job; the workers that are still alive come back for further use.

    The artifacts take turns, `rounds` times, in rotated order, so that drift of the machine hits all alike. While one is measured, all
    other workers wait without using the processor.
    """
    turns = _Turns(crew, open_runner, options, on_event, profiler)
    turns.open(jobs)
    turns.sample()
    turns.vary_threads()
    turns.measure_throughput()
    turns.sustain()
    turns.profile()
    return turns.results()


def summarize(turns: Sequence[probe.Turn], warmup_runs: int, load: float | None = None, site: Site | None = None) -> Latency:
    """Percentiles of all samples (linear between neighbours) and whether they are valid; samples are kept to a tenth of a microsecond.

    Args:
        load: the load average before.
        site: where the turns were taken; None for this machine.
    """
    rounds = [turn.samples_ns / 1e6 for turn in turns]
    samples = np.concatenate(rounds)
    p50, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
    conditions = conditions_of([turn.machine for turn in turns], load)
    latency = Latency(
        runs=len(samples),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        min_ms=float(samples.min()),
        max_ms=float(samples.max()),
        samples_ms=np.round(samples, 4).tolist(),
        warmup_runs=warmup_runs,
        p50_interval=median_interval(rounds),
        rounds_p50_ms=[float(np.median(turn)) for turn in rounds],
        histogram=_histogram(samples),
        conditions=conditions,
    )
    cores, emulated = (site.environment.cores, site.emulated) if site else (None, False)
    return latency.model_copy(update={"validity": judge_latency(latency, conditions, cores, emulated=emulated)})


def compare_latency(ours: Latency, theirs: Latency, reference: str) -> LatencyRatio | None:
    """How much slower or faster; None where the two did not take the same turns, two at least."""
    if len(ours.rounds_p50_ms) != len(theirs.rounds_p50_ms) or len(ours.rounds_p50_ms) < 2:
        return None
    ratio, interval = ratio_interval(ours.rounds_p50_ms, theirs.rounds_p50_ms, _RATIO_CONFIDENCE)
    verdict = "slower" if interval.low > 1 else "faster" if interval.high < 1 else "no difference"
    return LatencyRatio(reference=reference, ratio=ratio, interval=interval, verdict=verdict)


def summarize_minutes(minutes: Sequence[np.ndarray], threads: int) -> Sustained:
    """p50 and p90 of each minute's samples (nanoseconds)."""
    rows = []
    for number, samples in enumerate(minutes, 1):
        p50, p90 = (float(value) for value in np.percentile(samples / 1e6, (50, 90)))
        rows.append(Minute(minute=number, runs=len(samples), p50_ms=p50, p90_ms=p90))
    return Sustained(threads=threads, minutes=rows, slowdown=rows[-1].p50_ms / rows[0].p50_ms)


def _histogram(samples: np.ndarray) -> Histogram:
    """The last bin reaches to the slowest sample: equal bins up to there would squeeze all others into the first."""
    edges = np.linspace(samples.min(), max(np.percentile(samples, 99.5), samples.min() + 1e-6), _BINS + 1)
    edges[-1] = max(edges[-1], samples.max())
    return Histogram(edges_ms=edges.tolist(), counts=np.histogram(samples, edges)[0].tolist())


class _Turns:
    """The workers of one run; an artifact that failed is not asked again."""

    def __init__(
        self, crew: Crew, open_runner: OpenRunner, options: BenchOptions, on_event: OnEvent, profiler: Profiler | None
    ) -> None:
        self._crew, self._open_runner, self._options, self._on_event = crew, open_runner, options, on_event
        self._profiler = profiler
        self._jobs: dict[str, BenchJob] = {}
        self._workers: dict[str, Worker] = {}
        self._opened: dict[str, probe.Opened] = {}
        self._latencies: dict[str, Latency] = {}
        self._peaks: dict[str, int] = {}
        self._threads: dict[str, list[ThreadsLatency]] = {}
        self._throughputs: dict[str, list[Throughput]] = {}
        self._sustained: dict[str, Sustained] = {}
        self._profiles: dict[str, Profile | str] = {}
        self._failures: dict[str, Failure] = {}
        self._not_measured: dict[str, dict[str, str]] = {}
        self._lost: set[str] = set()  # whose worker died after everything was measured

    def open(self, jobs: Sequence[BenchJob]) -> None:
        """Open all, one after another. The first does not wait for the others' processes to start, and they do not disturb it."""
        self._jobs = {job.name: job for job in jobs}
        for index, job in enumerate(jobs):
            if index < 2:
                self._hire(jobs[:1] if index == 0 else jobs[1:])
            opened = self._ask(job.name, probe.open_artifact, self._open_runner, job.path, job.spec, self._options.threads[0])
            if opened is not None:
                self._opened[job.name] = opened
            self._on_event(Event("load", job.name, index + 1, len(jobs)))

    def sample(self) -> None:
        """Warm up and take turns; memory is what that took."""
        self._latencies = self._take_turns(lambda name: name)
        for name in self._alive():
            peak = self._ask(name, probe.own_memory_bytes)
            if peak is not None:
                self._peaks[name] = peak

    def vary_threads(self) -> None:
        """The same with the other numbers of threads; then the first is back."""
        for threads in self._options.threads[1:]:
            with self._beside(f"{threads} threads"):
                self._reopen(threads)
                found = self._take_turns(lambda name, threads=threads: f"{name}, {threads} threads")
            for name, latency in found.items():
                self._threads.setdefault(name, []).append(ThreadsLatency(threads=threads, latency=latency))
        if len(self._options.threads) > 1:
            self._reopen(self._options.threads[0])

    def measure_throughput(self) -> None:
        """Images per second at every batch size asked."""
        options = self._options
        for name in self._timed():
            for index, batch in enumerate(options.batches):
                with self._beside(f"batches of {batch}"):
                    found = self._ask(
                        name, probe.measure_throughput, batch, options.min_seconds, options.least_rounds, options.threads[0]
                    )
                if found is not None:
                    self._throughputs.setdefault(name, []).append(found)
                self._on_event(Event("throughput", name, index + 1, len(options.batches)))

    def sustain(self) -> None:
        """Each artifact for minutes without a pause."""
        seconds = self._options.sustained_minutes * _MINUTE_S
        if not seconds:
            return
        count = math.ceil(seconds / _MINUTE_S)
        for name in self._timed():
            minutes: list[np.ndarray] = []
            with self._beside("a sustained run"):
                for index in range(count):
                    span = min(_MINUTE_S, seconds - index * _MINUTE_S)
                    turn = self._ask(name, probe.take_turn, span, 1, timeout_s=span + self._options.timeout_s)
                    if turn is not None:
                        minutes.append(turn.samples_ns)
                    self._on_event(Event("sustained", name, index + 1, count))
            if len(minutes) == count:
                self._sustained[name] = summarize_minutes(minutes, self._options.threads[0])

    def profile(self) -> None:
        """Profile the operations. That an engine tells nothing of them is no failure of the artifact."""
        if not self._options.profile or self._profiler is None:
            return
        names = self._timed()
        for index, name in enumerate(names):
            job = self._jobs[name]
            arguments = {"spec": self._opened[name].spec, "threads": self._options.threads[0], "runs": _PROFILED_RUNS}
            try:
                self._profiles[name] = ask(self._workers[name], self._options.timeout_s, self._profiler, job.path, **arguments)
            except (EdgeclsError, RemoteError, TimeoutError) as error:
                failure = failure_of(error, self._options.timeout_s)
                self._profiles[name] = failure.reason
                if failure.status in ("crashed", "timeout"):
                    self._lost.add(name)
            self._on_event(Event("profile", name, index + 1, len(names)))

    def results(self) -> tuple[dict[str, Timing | Failure], list[Worker]]:
        """Everything measured, and the workers that are still alive."""
        timings: dict[str, Timing | Failure] = {
            name: Timing(
                self._opened[name],
                self._latencies.get(name),
                self._peaks[name],
                self._threads.get(name, []),
                self._throughputs.get(name, []),
                self._sustained.get(name),
                self._profiles.get(name),
                self._not_measured.get(name, {}),
            )
            for name in self._alive()
        }
        return {**timings, **self._failures}, [self._workers[name] for name in self._alive() if name not in self._lost]

    def _take_turns(self, title: Callable[[str], str]) -> dict[str, Latency]:
        """Latency of every artifact that comes through all rounds."""
        options = self._options
        first = next(iter(self._timed()), None)
        load = self._ask(first, load_average) if first else None
        warmups: dict[str, int] = {}
        turns: dict[str, list[probe.Turn]] = {}
        for name in self._timed():
            warmups[name] = self._ask(name, probe.warm_up, options.warmup_seconds, options.warmup_runs) or 0
        seconds, runs = options.min_seconds / options.rounds, math.ceil(options.min_runs / options.rounds)
        for number in range(options.rounds):
            names = self._timed()
            shift = number % max(len(names), 1)
            for name in names[shift:] + names[:shift]:
                turn = self._ask(name, probe.take_turn, seconds, runs)
                if turn is not None:
                    turns.setdefault(name, []).append(turn)
                self._on_event(Event("latency", title(name), number + 1, options.rounds))
        return {name: summarize(turns[name], warmups[name], load, self._crew.site) for name in self._timed()}

    @contextlib.contextmanager
    def _beside(self, what: str) -> Iterator[None]:
        """What fails in here costs this further figure alone: the artifact keeps its latency and goes on in a new worker."""
        failed_before = set(self._failures)
        yield
        for name in self._failures.keys() - failed_before:
            failure = self._failures.pop(name)
            self._not_measured.setdefault(name, {})[what] = f"{failure.status}: {failure.reason}"
            self._crew.dismiss(self._workers[name])
            self._hire([self._jobs[name]])
            self._reopen(self._options.threads[0], [name])

    def _reopen(self, threads: int, names: Sequence[str] | None = None) -> None:
        for name in self._timed() if names is None else names:
            self._ask(name, probe.reopen_artifact, self._open_runner, self._jobs[name].path, self._opened[name].spec, threads)

    def _hire(self, jobs: Sequence[BenchJob]) -> None:
        """Start workers side by side and wait until each has loaded its engine."""
        for job in jobs:
            modules = [probe.__name__, self._open_runner.__module__, *engines([job.target])]
            self._workers[job.name] = self._crew.hire(modules)
        for job in jobs:
            self._ask(job.name, preload, [], timeout_s=START_TIMEOUT_S * len(jobs))  # they share the processor

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
