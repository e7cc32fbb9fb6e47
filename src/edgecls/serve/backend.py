"""Backend: the worker processes of one offer, and the bounded queue before them.

A question goes to an idle worker at once, together with what else waits. While all are busy, a batch is sent behind a worker's present
one as soon as it is full or its oldest question has waited for `batch_delay_ms`: workers find their next work at hand, and how many
questions share a batch follows from the load alone.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from edgecls.errors import EdgeclsError, RemoteError
from edgecls.serve.attendant import Attendant, Outcome, Ticket, hire
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Offer
from edgecls.serve.question import Question, Reply, error_body
from edgecls.serve.tasks import Tasks

_AHEAD = 2  # batches with a worker: the one it works on, and the next
_LONGEST_PAUSE_S = 30.0
_LOST = Reply(503, error_body("the process that had this request in its hands ended; send it again"))
_FAILED = Reply(500, error_body("this could not be answered"))
_LATE = Reply(503, error_body("no answer in time: too much is asked of this server; send it again later"))


class Backend:
    """Answers questions from one offer.

    Args:
        workers: number of processes.
        on_batch: told the size of every batch.
        on_loss: told in words of every worker that ended by itself.
        on_fault: told of every exception of ours, with its traceback.

    All methods are for the loop's thread.
    """

    def __init__(
        self,
        offer: Offer,
        limits: Limits,
        workers: int,
        on_batch: Callable[[int], None] = lambda size: None,
        on_loss: Callable[[str], None] = lambda words: None,
        on_fault: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.offer, self.limits, self._wanted = offer, limits, workers
        self.cards: dict[str, Card] = {}
        self.attendants: list[Attendant] = []
        self._waiting: deque[Ticket] = deque()
        self._users = 0  # requests that have been let in and not left
        self._idle = asyncio.Event()
        self._idle.set()
        self._dispatch_is_due = False
        self._alarm: asyncio.TimerHandle | None = None
        self._closing = False
        self._tasks = Tasks()
        self._on_batch, self._on_loss, self._on_fault = on_batch, on_loss, on_fault

    @property
    def waiting(self) -> int:
        """Questions that no worker has yet."""
        return len(self._waiting)

    @property
    def at_work(self) -> int:
        """Questions that a worker has."""
        return sum(len(batch) for attendant in self.attendants for batch in attendant.at_work)

    async def start(self) -> None:
        """Start all workers.

        Raises:
            ArtifactError: an artifact cannot be opened.
            WorkerError: a worker ended over it.
        """
        hired = await asyncio.gather(*(self._hire() for _ in range(self._wanted)), return_exceptions=True)
        errors = [found for found in hired if isinstance(found, BaseException)]
        self.attendants = [found for found in hired if isinstance(found, Attendant)]
        if errors:
            await self.close()
            raise errors[0]
        self.cards = {card.name: card for card in self.attendants[0].cards}

    def look_after(self) -> None:
        """Replace workers that ended while they had nothing to do; those that had something are noticed by that."""
        for attendant in self.attendants[:]:
            if not attendant.at_work and attendant.has_ended:
                self._part_with(attendant, attendant.lost or "a worker process ended while it had nothing to do")

    def enter(self) -> None:
        """A request comes in: the backend stays until it has left."""
        self._users += 1
        self._idle.clear()

    def leave(self) -> None:
        """It goes."""
        self._users -= 1
        if not self._users:
            self._idle.set()

    async def ask(self, question: Question) -> Ticket:
        """Put a question and wait for its reply, which the ticket that comes back has."""
        loop = asyncio.get_running_loop()
        ticket = Ticket(question, loop.create_future(), loop.time())
        self._waiting.append(ticket)
        self._plan()
        await ticket.reply
        return ticket

    async def close(self) -> None:
        """Wait until all requests have left, then end the workers and remove the copy of the artifacts."""
        await self._idle.wait()
        self._closing = True
        await self._tasks.cancel()
        attendants, self.attendants = self.attendants, []
        await asyncio.gather(*(asyncio.to_thread(attendant.close) for attendant in attendants))
        self.offer.close()

    async def _hire(self) -> Attendant:
        return await hire(self.offer.served, self.limits, self._done)

    def _plan(self) -> None:
        """Dispatch once all that arrives at this moment is there."""
        if not self._dispatch_is_due:
            self._dispatch_is_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_is_due = False
        now = asyncio.get_running_loop().time()
        while self._waiting and now - self._waiting[0].asked_at > self.limits.timeout_s:
            _settle(self._waiting.popleft(), _LATE)
        self.look_after()
        while self._waiting:
            idle = [attendant for attendant in self.attendants if not attendant.at_work]
            if idle:
                self._give(idle[0], math.ceil(len(self._waiting) / len(idle)), now)
                continue
            free = [attendant for attendant in self.attendants if len(attendant.at_work) < _AHEAD]
            is_ripe = len(self._waiting) >= self.limits.batch or now >= self._ripe_at()
            if not free or not is_ripe:
                break
            self._give(min(free, key=_load), len(self._waiting), now)
        self._set_alarm(now)

    def _give(self, attendant: Attendant, count: int, now: float) -> None:
        batch = [self._waiting.popleft() for _ in range(min(count, self.limits.batch))]
        for ticket in batch:
            ticket.sent_at = now
        self._on_batch(len(batch))
        attendant.give(batch)

    def _ripe_at(self) -> float:
        return self._waiting[0].asked_at + self.limits.batch_delay_ms / 1000

    def _set_alarm(self, now: float) -> None:
        """Look again when the oldest question has waited for others long enough, or for too long."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting:
            is_room = any(len(attendant.at_work) < _AHEAD for attendant in self.attendants)
            due = self._ripe_at() if is_room else self._waiting[0].asked_at + self.limits.timeout_s
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, due - now) + 0.0005, self._dispatch)

    def _done(self, attendant: Attendant, outcome: Outcome) -> None:
        if outcome.replies is not None:
            for ticket, reply in zip(outcome.tickets, outcome.replies, strict=True):
                _settle(ticket, reply)
        elif outcome.was_begun:  # not tried again: one of them may be what ended the process
            if outcome.fault:
                self._on_fault(outcome.fault)
            for ticket in outcome.tickets:
                _settle(ticket, _FAILED if outcome.fault else _LOST)
        else:
            self._waiting.extendleft(reversed(outcome.tickets))
        if attendant.lost:
            self._part_with(attendant, attendant.lost)
        if self._waiting:
            self._plan()

    def _part_with(self, attendant: Attendant, words: str) -> None:
        """A worker ended by itself: another takes its place."""
        if attendant in self.attendants:
            self.attendants.remove(attendant)
            self._on_loss(words)
            self._tasks.start(self._replace())

    async def _replace(self) -> None:
        """A new worker in the place of one that ended; where none starts, again after a pause."""
        pause_s = 1.0
        while not self._closing:
            try:
                self.attendants.append(await self._hire())
            except (
                EdgeclsError,
                RemoteError,
                OSError,
                RuntimeError,
                MemoryError,
            ) as error:  # no descriptor or thread to spare, say
                self._on_loss(str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._plan()
                return


def _settle(ticket: Ticket, reply: Reply) -> None:
    if not ticket.reply.done():
        ticket.reply.set_result(reply)


def _load(attendant: Attendant) -> int:
    return sum(map(len, attendant.at_work))
