"""Which images a file from elsewhere takes: asked in a process of its own, since it may bring its engine down."""

from __future__ import annotations

from pathlib import Path

from edgecls.crew.crew import START_TIMEOUT_S, Crew, ask, engines
from edgecls.crew.jobs import Failure, OpenRunner, failure_of
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.records.image_spec import ImageSpec
from edgecls.system.worker import preload


def image_spec_of(path: Path, target: str, *, open_runner: OpenRunner, timeout_s: float) -> ImageSpec | Failure:
    """What the runner finds out about an artifact; why not, where it cannot be opened."""
    with Crew() as crew:
        worker = crew.hire([__name__, open_runner.__module__, *engines([target])])
        try:
            ask(worker, START_TIMEOUT_S, preload, [])
            return ask(worker, timeout_s, _spec, open_runner, path)
        except (EdgeclsError, RemoteError, TimeoutError) as error:
            return failure_of(error, timeout_s)


def _spec(open_runner: OpenRunner, path: Path) -> ImageSpec:
    return open_runner(path).spec
