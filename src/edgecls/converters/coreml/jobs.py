"""The Core ML artifacts of a conversion, made by one call, in a worker where there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from edgecls.converters.conversion import Conversion, Made, artifact_path, unexpected
from edgecls.converters.support import Job
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.records.artifact import Scheme
from edgecls.system.worker import Worker

if TYPE_CHECKING:
    from edgecls.converters.coreml.int8 import SharedInt8


def check_coreml(conversion: Conversion, jobs: Sequence[Job], worker: Worker | None) -> None:
    """A deployment target that cannot be is the user's mistake: no artifact is made then."""
    from edgecls.converters.coreml.convert import check_deployment_target

    name = conversion.minimum_deployment_target
    schemes: list[Scheme] = [job.scheme for job in jobs]
    if jobs and name is not None:
        worker.call(check_deployment_target, schemes, name) if worker else check_deployment_target(schemes, name)


class CoreMLJobs:
    """Some of the Core ML artifacts, made by one call in the worker or, without one, here."""

    def __init__(self, conversion: Conversion, jobs: Sequence[Job], worker: Worker | None) -> None:
        self.conversion, self.jobs, self.worker = conversion, jobs, worker
        self.future: Future[dict[Scheme, Path]] | None = None
        self.error, self.started, self.finished = "", 0.0, False

    @property
    def are_done(self) -> bool:
        """Whether `finish` would answer without waiting."""
        return self.future is None or self.future.done()

    def start(self, shared: Callable[[], SharedInt8] | None = None) -> None:
        """Begin; `shared` gives int8 its parameters."""
        from edgecls.converters.coreml.convert import convert_coreml

        if not self.jobs:
            return
        self.started = time.perf_counter()
        conversion = self.conversion
        schemes: list[Scheme] = [job.scheme for job in self.jobs]
        both = len({job.scheme == "int8" for job in conversion.jobs if job.target == "coreml"}) == 2
        try:
            options = {
                "minimum_deployment_target": conversion.minimum_deployment_target,
                "int8": shared() if shared else None,
                "float16_package": conversion.folder / ".float16.mlpackage" if both else None,
            }
            arguments = (conversion.graph, conversion.record, schemes, conversion.folder)
            if self.worker:
                self.future = self.worker.start(convert_coreml, *arguments, **options)
            else:
                convert_coreml(*arguments, **options)
        except EdgeclsError as failure:
            self.error = str(failure)
        except Exception as failure:  # noqa: BLE001 - the hub's libraries may fail on the way to the parameters
            self.error = unexpected(failure)

    def finish(self) -> Iterator[Made]:
        """Wait for them; nothing where they were handed out before."""
        if not self.jobs or self.finished:
            return
        self.finished = True
        try:
            if self.future is not None:
                self.future.result()
        except (EdgeclsError, RemoteError) as failure:
            self.error = str(failure)
        seconds = (time.perf_counter() - self.started) / len(self.jobs)
        for job in self.jobs:
            path = artifact_path(self.conversion, job)
            error = "" if path.exists() else self.error  # what was finished before is whole
            yield Made(job, path, self.conversion.requested(job), seconds, error)
