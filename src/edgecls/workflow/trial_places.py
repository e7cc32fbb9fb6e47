"""Where the trials of a search are made: in a process of ours here, or on the workers of a Dask cluster."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

from edgecls.system.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")
_CALLS = 12  # of one process: TensorFlow keeps something of every model that it has seen


class TrialPlace(Protocol):
    """Runs functions elsewhere.

    Attributes:
        slots: how many at once.
        is_elsewhere: whether what is made there does not disturb what is measured here.
    """

    slots: int
    is_elsewhere: bool

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Begin a call. Functions must be importable by name; arguments and results must pickle."""
        ...

    def stop(self) -> None:
        """End whatever runs, at once."""
        ...


class LocalPlace:
    """One process, which is replaced where it has died, and after some calls."""

    slots = 1
    is_elsewhere = False

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._calls = 0

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Begin a call; the one before is over."""
        if self._worker is not None and self._calls >= _CALLS:
            self._worker.close()
            self._worker = None
        if self._worker is None or self._worker.has_ended:
            self._worker, self._calls = Worker(), 0
        self._calls += 1
        return self._worker.start(function, *args, **kwargs)

    def stop(self) -> None:
        """End whatever runs, at once."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def __enter__(self) -> LocalPlace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
