"""TimedArtifact: one artifact in a worker of its own, and what was measured of it so far."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from edgecls.crew import desk
from edgecls.crew.crew import START_TIMEOUT_S, Crew, ask, engines
from edgecls.crew.jobs import BenchJob, BenchOptions, Failure, OpenRunner, Profiler, failure_of
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.records.latency import Latency, Sustained, ThreadsLatency, Throughput
from edgecls.records.profile import Profile
from edgecls.system.worker import Worker, preload
from edgecls.timing import stopwatch

R = TypeVar("R")


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

    opened: desk.Opened
    latency: Latency | None
    peak_memory_bytes: int
    threads_latency: list[ThreadsLatency] = field(default_factory=list)
    throughput: list[Throughput] = field(default_factory=list)
    sustained: Sustained | None = None
    profile: Profile | str | None = None
    not_measured: dict[str, str] = field(default_factory=dict)


class TimedArtifact:
    """An artifact that is being measured; one that failed is not asked again.

    Attributes:
        worker: its process; `hire` starts one.
        opened: what its file turned out to be; None until it is open.
        failure: why it can give no further figure.
        lost: whether its worker died after everything was measured.
        latency, peak_memory_bytes, threads_latency, throughput, sustained, profile, not_measured: as in `Timing`.
    """

    def __init__(self, job: BenchJob, crew: Crew, open_runner: OpenRunner, options: BenchOptions) -> None:
        self.job = job
        self._crew, self._open_runner, self._options = crew, open_runner, options
        self.worker: Worker
        self.opened: desk.Opened | None = None
        self.failure: Failure | None = None
        self.lost = False
        self.latency: Latency | None = None
        self.peak_memory_bytes = 0
        self.threads_latency: list[ThreadsLatency] = []
        self.throughput: list[Throughput] = []
        self.sustained: Sustained | None = None
        self.profile: Profile | str | None = None
        self.not_measured: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        """Whether it is open and has not failed."""
        return self.opened is not None and self.failure is None

    @property
    def timed(self) -> bool:
        """Whether its own engine runs: a stand-in's time says nothing about the artifact."""
        return self.failure is None and self.opened is not None and not self.opened.stand_in

    @property
    def stands_in(self) -> bool:
        """Whether it is open, in something that stands in for its own engine."""
        return self.failure is None and self.opened is not None and bool(self.opened.stand_in)

    def hire(self) -> None:
        """Start its worker, which loads the engine by and by."""
        self.worker = self._crew.hire([stopwatch.__name__, self._open_runner.__module__, *engines([self.job.target])])

    def wait_until_loaded(self, loading: int) -> None:
        """Wait until its worker has loaded the engine, as one of so many that share the processor."""
        self.ask(preload, [], timeout_s=START_TIMEOUT_S * loading)

    def open(self) -> None:
        """Open the artifact with the first number of threads."""
        self.opened = self.ask(desk.open_artifact, self._open_runner, self.job.path, self.job.spec, self._options.threads[0])

    def reopen(self, threads: int) -> None:
        """Open it anew with another number of threads."""
        spec = self.opened.spec if self.opened else self.job.spec
        self.ask(desk.reopen_artifact, self._open_runner, self.job.path, spec, threads)

    def ask(self, function: Callable[..., R], *args: object, timeout_s: float | None = None) -> R | None:
        """Have its worker do something; None where that failed, now or before."""
        if self.failure is not None:
            return None
        timeout_s = timeout_s or self._options.timeout_s
        try:
            return ask(self.worker, timeout_s, function, *args)
        except (EdgeclsError, RemoteError, TimeoutError) as error:
            self.failure = failure_of(error, timeout_s)
            return None

    def profile_operations(self, profiler: Profiler, runs: int) -> None:
        """Profile its operations. That an engine tells nothing of them is no failure of the artifact."""
        spec = self.opened.spec if self.opened else self.job.spec
        arguments = {"spec": spec, "threads": self._options.threads[0], "runs": runs}
        try:
            self.profile = ask(self.worker, self._options.timeout_s, profiler, self.job.path, **arguments)
        except (EdgeclsError, RemoteError, TimeoutError) as error:
            failure = failure_of(error, self._options.timeout_s)
            self.profile = failure.reason
            self.lost = failure.status in ("crashed", "timeout")

    @contextlib.contextmanager
    def beside(self, what: str) -> Iterator[None]:
        """What fails in here costs this further figure alone: the artifact keeps its latency and goes on in a new worker."""
        failed_before = self.failure
        yield
        if self.failure is None or failed_before is not None:
            return
        self.not_measured[what] = f"{self.failure.status}: {self.failure.reason}"
        self.failure = None
        self._crew.dismiss(self.worker)
        self.hire()
        self.wait_until_loaded(1)
        self.reopen(self._options.threads[0])

    def result(self) -> Timing | Failure:
        """Everything measured, or why it failed."""
        if self.failure is not None or self.opened is None:
            return self.failure or Failure("failed", "was never opened")
        return Timing(
            self.opened,
            self.latency,
            self.peak_memory_bytes,
            self.threads_latency,
            self.throughput,
            self.sustained,
            self.profile,
            self.not_measured,
        )
