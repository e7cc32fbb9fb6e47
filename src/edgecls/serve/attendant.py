"""Attendant: one worker process as the web server sees it. Nothing here ever blocks the server's loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgecls.errors import WorkerError
from edgecls.serve.answering import answer, open_offer
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Served
from edgecls.serve.question import Question, Reply
from edgecls.system.worker import Worker

_START_S = 120.0  # for a process to start and open all artifacts
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # there is a worker for each core already


@dataclass
class Ticket:
    """A question that waits for its reply.

    Attributes:
        asked_at: on the loop's clock.
        sent_at: when it went to a worker.
    """

    question: Question
    reply: asyncio.Future[Reply]
    asked_at: float
    sent_at: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a batch ended.

    Attributes:
        replies: one for each ticket; None where there are none.
        error: why there are none.
        was_begun: whether the worker may have worked on it; those behind it in the queue of a worker that ended were not.
    """

    tickets: list[Ticket]
    replies: list[Reply] | None
    error: BaseException | None = None
    was_begun: bool = True


OnDone = Callable[["Attendant", Outcome], None]


@dataclass(eq=False)
class Attendant:
    """A worker process with the batches that it has not answered yet.

    Attributes:
        on_done: called on the loop with the attendant and how a batch ended.
        is_lost: whether the process has ended by itself.
    """

    worker: Worker
    cards: list[Card]
    loop: asyncio.AbstractEventLoop
    timeout_s: float
    on_done: OnDone
    is_lost: bool = False
    at_work: deque[list[Ticket]] = field(default_factory=deque)
    _outbox: queue.SimpleQueue[list[Ticket] | None] = field(default_factory=queue.SimpleQueue)
    _alarm: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        # A pipe that is full blocks who writes to it: a thread of its own, not the loop.
        threading.Thread(target=self._send, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process identifier."""
        return self.worker.pid

    def give(self, batch: list[Ticket]) -> None:
        """Send a batch, which is worked on after those before it."""
        self.at_work.append(batch)
        self._outbox.put(batch)
        if len(self.at_work) == 1:
            self._set_alarm()

    def kill(self) -> None:
        """End the process at once; its batches get an error."""
        threading.Thread(target=self.worker.kill, daemon=True).start()

    def close(self) -> None:
        """Let the process end. Blocks for a moment: for a thread."""
        self._outbox.put(None)
        self.worker.close()

    def _send(self) -> None:
        while (batch := self._outbox.get()) is not None:
            found = self.worker.start(answer, [ticket.question for ticket in batch])
            found.add_done_callback(lambda done, batch=batch: self._tell(batch, done))

    def _tell(self, batch: list[Ticket], done: concurrent.futures.Future[list[Reply]]) -> None:
        """From the thread that reads replies to the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is gone: the server has ended
            self.loop.call_soon_threadsafe(self._finish, batch, done)

    def _finish(self, batch: list[Ticket], done: concurrent.futures.Future[list[Reply]]) -> None:
        error = done.exception()
        was_begun = not self.is_lost
        self.is_lost = self.is_lost or isinstance(error, WorkerError)
        self.at_work.remove(batch)
        self._set_alarm()
        self.on_done(self, Outcome(batch, None if error else done.result(), error, was_begun))

    def _set_alarm(self) -> None:
        """A batch that is worked on for too long ends the process."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_later(self.timeout_s, self.kill) if self.at_work else None


def hire(
    served: Sequence[Served],
    limits: Limits,
    loop: asyncio.AbstractEventLoop,
    on_done: OnDone,
) -> Attendant:
    """Start a worker and have it open the artifacts. Blocks: for a thread.

    Raises:
        ArtifactError: one of them cannot be opened.
        WorkerError: the process ended over it.
    """
    worker = Worker(environment=_ENVIRONMENT)
    try:
        cards = worker.wait(worker.start(open_offer, list(served), limits), _START_S)
    except BaseException:
        worker.kill()
        raise
    return Attendant(worker, cards, loop, limits.timeout_s, on_done)
