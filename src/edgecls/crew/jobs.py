"""What to measure, how, and what is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgecls.errors import EdgeclsError, MissingExtraError, RemoteError, UnsupportedOperationError, WorkerError
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement, Status
from edgecls.records.profile import Profile
from edgecls.records.runner import Runner
from edgecls.system.processor import usable_cores

_TURN_SECONDS, _MOST_ROUNDS = 0.2, 50
OpenRunner = Callable[..., Runner]  # (path, *, spec, threads); importable by name, since workers call it
Profiler = Callable[..., Profile]  # (path, *, spec, threads, runs); likewise


@dataclass(frozen=True)
class BenchJob:
    """One artifact to measure.

    Attributes:
        name: unique in a run.
        target, scheme, variant: as in the manifest; scheme may be empty for files from elsewhere.
        spec: the image it takes; None: the runner finds out.
        labels: its labels where they are not those of the ImageSource.
        foreign: it comes from elsewhere: never the reference, never compared with the source model's scores.
        size_bytes, compressed_bytes: where already known; otherwise measured.
        failure: why it must not be measured; its row says so.
    """

    name: str
    path: Path
    target: str
    scheme: str = ""
    variant: str = "base"
    spec: ImageSpec | None = None
    labels: tuple[str, ...] | None = None
    foreign: bool = False
    size_bytes: int | None = None
    compressed_bytes: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class ImageSource:
    """Images to measure accuracy on: the arguments of `open_images`, opened once for each size the artifacts take.

    Attributes:
        scores: kind and number of the artifacts' scores, where they are known before an artifact is opened.
    """

    path: Path
    labels: tuple[str, ...] | None = None
    limit: int | None = None
    seed: int = 0
    scores: tuple[OutputKind, int] | None = None


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    Attributes:
        min_seconds, min_runs: each artifact's latency is sampled for at least so long and so often.
        warmup_seconds, warmup_runs: at least both before the first sample.
        least_rounds: the artifacts take turns at least so often; more where sampling is long.
        threads: numbers of threads of one inference; latency is measured with each, the first is the one that counts (accuracy takes
            one thread in each of `cores` processes).
        batches: throughput is measured with so many images at once.
        sustained_minutes: one inference after another for so long; 0 for not at all.
        profile: also profile the operations.
        timeout_s: longest time an artifact may take to open, for one turn, or for one share of the images.
    """

    min_seconds: float = 1.0
    min_runs: int = 50
    warmup_seconds: float = 0.1
    warmup_runs: int = 5
    least_rounds: int = 5
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = ()
    sustained_minutes: float = 0.0
    profile: bool = False
    cores: int = field(default_factory=usable_cores)
    timeout_s: float = 300.0

    @property
    def rounds(self) -> int:
        """A turn takes `_TURN_SECONDS`: short enough that drift of the machine falls on all artifacts alike."""
        return max(self.least_rounds, min(_MOST_ROUNDS, round(self.min_seconds / _TURN_SECONDS)))


@dataclass(frozen=True)
class Failure:
    """Why an artifact has no figures."""

    status: Status
    reason: str


def failure_of(error: EdgeclsError | RemoteError | TimeoutError, timeout_s: float) -> Failure:
    """What an error of a worker means for the artifact's row."""
    if isinstance(error, TimeoutError):
        return Failure("timeout", f"no answer within {timeout_s:g} s")
    if isinstance(error, WorkerError):
        return Failure("crashed", f"its process {error.found.removeprefix('it ')}")
    if isinstance(error, MissingExtraError):
        return Failure("unsupported", f"{error.found}; {error.remedy}")
    if isinstance(error, UnsupportedOperationError):
        return Failure("unsupported", error.found)
    return Failure("failed", str(error))


def blank_row(job: BenchJob, options: BenchOptions) -> Measurement:
    """The row of a job before anything is measured."""
    return Measurement(
        artifact=job.name,
        path=str(job.path),
        target=job.target,
        scheme=job.scheme,
        status=job.failure.status if job.failure else "ok",
        reason=job.failure.reason if job.failure else "",
        size_bytes=job.size_bytes or 0,
        compressed_bytes=job.compressed_bytes or 0,
        threads=options.threads[0],
    )
