"""Latency, load time and memory: one worker for each artifact, taking turns, one at a time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from edgecls.crew import desk
from edgecls.crew.crew import Crew
from edgecls.crew.environment import Site
from edgecls.crew.jobs import BenchJob, BenchOptions, Failure, OpenRunner, Profiler
from edgecls.records.counted import counted
from edgecls.records.event import Event, OnEvent
from edgecls.records.latency import Histogram, Latency, LatencyRatio, Minute, Sustained, ThreadsLatency
from edgecls.system.worker import Worker
from edgecls.timing import stopwatch
from edgecls.timing.conditions import conditions_of, load_average
from edgecls.timing.statistics import median_interval, ratio_interval
from edgecls.timing.timed_artifact import TimedArtifact, Timing
from edgecls.timing.validity import judge_latency

_BINS = 40
_RATIO_CONFIDENCE = 0.99  # of a hundred pairs that are equal, one is told apart
_MINUTE_S = 60.0
_PROFILED_RUNS = 50


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
    turns = _Turns([TimedArtifact(job, crew, open_runner, options) for job in jobs], crew.site, options, on_event)
    turns.open()
    turns.sample()
    turns.vary_threads()
    turns.measure_throughput()
    turns.sustain()
    if options.profile and profiler is not None:
        turns.profile(profiler)
    return turns.results()


def summarize(turns: Sequence[stopwatch.Turn], warmup_runs: int, load: float | None = None, site: Site | None = None) -> Latency:
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
    """The artifacts of one run, which take turns."""

    def __init__(self, artifacts: Sequence[TimedArtifact], site: Site, options: BenchOptions, on_event: OnEvent) -> None:
        self._artifacts, self._site, self._options, self._on_event = artifacts, site, options, on_event

    def open(self) -> None:
        """Open all, one after another. The first does not wait for the others' processes to start, and they do not disturb it."""
        ahead = self._artifacts[:1]
        for index, artifact in enumerate(self._artifacts):
            if index < 2:
                ahead = self._artifacts[:1] if index == 0 else self._with_own_process(self._artifacts[1:])
                self._hire(ahead)
            if index and artifact not in ahead:
                self._seat(artifact, self._artifacts[:index])
            artifact.open()
            self._on_event(Event("load", artifact.job.name, index + 1, len(self._artifacts)))

    def sample(self) -> None:
        """Warm up and take turns; memory is what that took."""
        for artifact, latency in self._take_turns(lambda name: name):
            artifact.latency = latency
        for artifact in self._artifacts:
            if artifact.timed:
                artifact.peak_memory_bytes = artifact.ask(desk.own_memory_bytes) or 0

    def vary_threads(self) -> None:
        """The same with the other numbers of threads; then the first is back."""
        for threads in self._options.threads[1:]:
            with contextlib.ExitStack() as stack:
                for artifact in self._artifacts:
                    stack.enter_context(artifact.beside(counted(threads, "thread")))
                self._reopen(threads)
                found = self._take_turns(lambda name, threads=threads: f"{name}, {counted(threads, 'thread')}")
            for artifact, latency in found:
                artifact.threads_latency.append(ThreadsLatency(threads=threads, latency=latency))
        if len(self._options.threads) > 1:
            self._reopen(self._options.threads[0])

    def measure_throughput(self) -> None:
        """Images per second at every batch size asked."""
        options = self._options
        for artifact in self._timed():
            for index, batch in enumerate(options.batches):
                with artifact.beside(f"batches of {batch}"):
                    found = artifact.ask(
                        stopwatch.measure_throughput, batch, options.min_seconds, options.least_rounds, options.threads[0]
                    )
                if found is not None:
                    artifact.throughput.append(found)
                self._on_event(Event("throughput", artifact.job.name, index + 1, len(options.batches)))

    def sustain(self) -> None:
        """Each artifact for minutes without a pause."""
        seconds = self._options.sustained_minutes * _MINUTE_S
        if not seconds:
            return
        count = math.ceil(seconds / _MINUTE_S)
        for artifact in self._timed():
            minutes: list[np.ndarray] = []
            with artifact.beside("a sustained run"):
                for index in range(count):
                    span = min(_MINUTE_S, seconds - index * _MINUTE_S)
                    turn = artifact.ask(stopwatch.take_turn, span, 1, timeout_s=span + self._options.timeout_s)
                    if turn is not None:
                        minutes.append(turn.samples_ns)
                    self._on_event(Event("sustained", artifact.job.name, index + 1, count))
            if len(minutes) == count:
                artifact.sustained = summarize_minutes(minutes, self._options.threads[0])

    def profile(self, profiler: Profiler) -> None:
        """Profile the operations of each."""
        artifacts = self._timed()
        for index, artifact in enumerate(artifacts):
            artifact.profile_operations(profiler, _PROFILED_RUNS)
            self._on_event(Event("profile", artifact.job.name, index + 1, len(artifacts)))

    def results(self) -> tuple[dict[str, Timing | Failure], list[Worker]]:
        """Everything measured, and the workers that are still alive."""
        results = {artifact.job.name: artifact.result() for artifact in self._artifacts}
        workers = dict.fromkeys(artifact.worker for artifact in self._artifacts if artifact.alive and not artifact.lost)
        return results, [worker for worker in workers if not worker.has_ended]

    def _take_turns(self, title: Callable[[str], str]) -> list[tuple[TimedArtifact, Latency]]:
        """Latency of every artifact that comes through all rounds."""
        options = self._options
        first = next(iter(self._timed()), None)
        load = first.ask(load_average) if first else None
        warmups: dict[str, int] = {}
        turns: dict[str, list[stopwatch.Turn]] = {}
        for artifact in self._timed():
            warmups[artifact.job.name] = artifact.ask(stopwatch.warm_up, options.warmup_seconds, options.warmup_runs) or 0
        seconds, runs = options.min_seconds / options.rounds, math.ceil(options.min_runs / options.rounds)
        for number in range(options.rounds):
            artifacts = self._timed()
            shift = number % max(len(artifacts), 1)
            for artifact in artifacts[shift:] + artifacts[:shift]:
                turn = artifact.ask(stopwatch.take_turn, seconds, runs)
                if turn is not None:
                    turns.setdefault(artifact.job.name, []).append(turn)
                self._on_event(Event("latency", title(artifact.job.name), number + 1, options.rounds))
        names = {artifact: artifact.job.name for artifact in self._timed()}
        return [(artifact, summarize(turns[name], warmups[name], load, self._site)) for artifact, name in names.items()]

    def _reopen(self, threads: int) -> None:
        for artifact in self._timed():
            artifact.reopen(threads)

    def _hire(self, artifacts: Sequence[TimedArtifact]) -> None:
        """Start workers side by side and wait until each has loaded its engine."""
        for artifact in artifacts:
            artifact.hire()
        for artifact in artifacts:
            artifact.wait_until_loaded(len(artifacts))

    def _with_own_process(self, artifacts: Sequence[TimedArtifact]) -> list[TimedArtifact]:
        """All but those behind the first of a target whose engine is not here: a stand-in's times count for nothing."""
        first = {artifact.job.target: artifact for artifact in reversed(self._artifacts)}
        return [item for item in artifacts if item is first[item.job.target] or not self._site.lacks(item.job.target)]

    def _seat(self, artifact: TimedArtifact, before: Sequence[TimedArtifact]) -> None:
        """Give it the process in which a stand-in opened the last one of its target, which has no further use for it; else its own."""
        last = next((other for other in reversed(before) if other.job.target == artifact.job.target), None)
        if last and last.stands_in and not last.worker.has_ended:
            artifact.worker = last.worker
        else:
            self._hire([artifact])

    def _timed(self) -> list[TimedArtifact]:
        return [artifact for artifact in self._artifacts if artifact.timed]
