"""Rows: the measurements of one run while they come together, one for each job."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Sequence

from edgecls.crew.jobs import BenchJob, BenchOptions, Failure, blank_row
from edgecls.errors import InputError
from edgecls.evaluation.flips_reference import flips_reference
from edgecls.formats import file_sizes
from edgecls.records.measurement import Measurement


class Rows:
    """The jobs of a run and their rows, in one order.

    Raises:
        InputError: no jobs, or two of one name.
    """

    def __init__(self, jobs: Sequence[BenchJob], options: BenchOptions) -> None:
        names = [job.name for job in jobs]
        doubled = [name for name, times in Counter(names).items() if times > 1]
        if not jobs or doubled:
            found = f"several called {', '.join(doubled)}" if doubled else "none"
            raise InputError("artifacts of different names", found, "name each file once")
        self.jobs = jobs
        self._rows = {job.name: blank_row(job, options) for job in jobs}

    @property
    def measurements(self) -> list[Measurement]:
        """All rows."""
        return [self._rows[job.name] for job in self.jobs]

    @property
    def running(self) -> list[BenchJob]:
        """The jobs that have not failed."""
        return [job for job in self.jobs if self._rows[job.name].status == "ok"]

    def job(self, name: str) -> BenchJob:
        """The job of this name."""
        return next(job for job in self.jobs if job.name == name)

    def update(self, name: str, **fields: object) -> None:
        """Fill in fields of a row."""
        self._rows[name] = self._rows[name].model_copy(update=fields)

    def fail(self, name: str, failure: Failure) -> None:
        """Say in a row why it has no figures."""
        self.update(name, status=failure.status, reason=failure.reason)

    def reference(self, among: Collection[str]) -> str | None:
        """The float32 artifact that the others are compared with; None where there is none."""
        return flips_reference(job for job in self.jobs if not job.foreign and job.name in among)

    def measure_sizes(self) -> None:
        """Fill in the sizes that no manifest told."""
        for job in self.jobs:
            if job.size_bytes is None or job.compressed_bytes is None:
                with contextlib.suppress(InputError):  # a file that is not there has its own status already
                    size, compressed = file_sizes(job.path)
                    self.update(job.name, size_bytes=size, compressed_bytes=compressed)
