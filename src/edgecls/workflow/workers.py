"""Workers: the processes that help conversions, kept from one conversion to the next.

Most of a small conversion's time they spend starting: one imports TensorFlow and coremltools.
"""

from __future__ import annotations

from types import TracebackType

from edgecls.converters.making import coreml_worker
from edgecls.system.worker import Worker


class Workers:
    """Each starts when it is first needed, and another one when it has ended."""

    def __init__(self) -> None:
        self._examining: Worker | None = None
        self._coreml: Worker | None = None

    @property
    def examining(self) -> Worker:
        """Examines what was made."""
        if self._examining is None or self._examining.has_ended:
            self._examining = Worker()
        return self._examining

    @property
    def coreml(self) -> Worker:
        """Makes Core ML packages."""
        if self._coreml is None or self._coreml.has_ended:
            self._coreml = coreml_worker()
        return self._coreml

    def kill_if_failed(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End those that still do something for a conversion that failed."""
        for worker in self._started if error is not None else ():
            if worker.is_busy:
                worker.kill()

    def kill(self) -> None:
        """End them at once."""
        for worker in self._started:
            worker.kill()

    @property
    def _started(self) -> list[Worker]:
        return [worker for worker in (self._examining, self._coreml) if worker is not None]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
