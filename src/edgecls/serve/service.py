"""Service: the backend of the moment, what is let in, and what is counted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from edgecls.errors import EdgeclsError, RemoteError
from edgecls.serve.backend import Backend
from edgecls.serve.limits import Limits
from edgecls.serve.metrics import Metrics
from edgecls.serve.offer import Asked, read_offer, stamp_of
from edgecls.serve.tasks import Tasks

_POLL_S = 1.0
Tell = Callable[[str], None]


class Service:
    """What all endpoints share.

    Args:
        asked: what to serve.
        workers: number of processes.
        token: that clients must send; empty for none.
        tell: told in a sentence what happens to the service.
    """

    def __init__(self, asked: Asked, limits: Limits, workers: int, token: str, tell: Tell) -> None:
        self.asked, self.limits, self.token = asked, limits, token
        self._workers, self._tell = workers, tell
        self.metrics = Metrics(self._gauges, self._processes)
        self.requests_inside = 0
        self.bytes_inside = 0
        self.is_stopping = False
        self._backend: Backend | None = None
        self._tasks = Tasks()

    @property
    def backend(self) -> Backend:
        """The one that takes new requests."""
        assert self._backend is not None, "the server starts it before it listens"
        return self._backend

    @property
    def is_ready(self) -> bool:
        """Whether a request would find a worker."""
        return not self.is_stopping and self._backend is not None and bool(self._backend.attendants)

    async def start(self) -> None:
        """Open what is to be served, and watch it from then on.

        Raises:
            EdgeclsError: it cannot be served.
        """
        self._backend = await self._open()
        self._tasks.start(self._watch())

    async def stop(self) -> None:
        """End all workers once they have answered."""
        self.is_stopping = True
        await self._tasks.cancel()
        if self._backend is not None:
            await self._backend.close()

    async def _open(self) -> Backend:
        offer = await asyncio.to_thread(read_offer, self.asked)
        backend = Backend(offer, self.limits, self._workers, self.metrics.batch_images.observe, self._lose, self._tell)
        await backend.start()
        return backend

    async def _watch(self) -> None:
        """Serve what lies there now as soon as somebody has changed it and is done with it."""
        known = seen = self.backend.offer.stamp
        while True:
            await asyncio.sleep(_POLL_S)
            self.backend.look_after()
            try:
                before, seen = seen, await asyncio.to_thread(stamp_of, self.asked.paths)
            except (RuntimeError, MemoryError):  # no thread to spare at the moment
                continue
            if seen == known or seen != before:  # as it was, or still being written
                continue
            known = seen
            await self._reload()

    async def _reload(self) -> None:
        try:
            fresh = await self._open()
        except (EdgeclsError, RemoteError, OSError, RuntimeError, MemoryError) as error:
            self.metrics.reloads.labels("failed").inc()
            self._tell(f"what is served has changed, but cannot be served; the former goes on: {error}")
            return
        old, self._backend = self._backend, fresh
        self.metrics.reloads.labels("done").inc()
        self._tell(f"what is served has changed: now {', '.join(fresh.offer.names)}")
        if old is not None:
            self._tasks.start(old.close())

    def _lose(self, words: str) -> None:
        self.metrics.losses.inc()
        self._tell(words)

    def _gauges(self) -> dict[str, tuple[str, float]]:
        backend = self._backend
        return {
            "edgecls_queue_requests": ("Requests that no worker has yet.", backend.waiting if backend else 0),
            "edgecls_worker_requests": ("Requests that a worker has.", backend.at_work if backend else 0),
            "edgecls_inside_requests": ("Requests that are read, wait or are computed.", self.requests_inside),
            "edgecls_inside_bytes": ("Bytes kept for their bodies.", self.bytes_inside),
            "edgecls_workers": ("Worker processes that answer.", len(backend.attendants) if backend else 0),
        }

    def _processes(self) -> dict[str, list[int]]:
        workers = [attendant.pid for attendant in self._backend.attendants] if self._backend else []
        return {"server": [os.getpid()], "workers": workers}
