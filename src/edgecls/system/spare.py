"""Spare: a worker process that starts before anybody needs it, while this process still imports modules of its own.

Both take about as long: what is started first thing is ready when it is asked for the first time.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecls.system.worker import Worker, preload

_spares: list[Worker] = []


def start_spare(modules: Sequence[str]) -> None:
    """Start a worker that imports some modules; it ends with this process where nobody takes it."""
    worker = Worker()
    worker.start(preload, modules)
    _spares.append(worker)


def take_worker() -> Worker:
    """The spare worker, where there is one that lives; else a new one."""
    while _spares:
        worker = _spares.pop()
        if not worker.has_ended:
            return worker
        worker.close()
    return Worker()
