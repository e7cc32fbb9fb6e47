"""Attendant: one worker process as the web server sees it, and the line between the two.

Questions and replies go over a socket of their own, which the server's loop reads and writes itself. The worker's pipes, with a thread
behind them, start and end it; under load that thread would take turns with the loop at every batch, which costs more than all else here.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import struct
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from edgecls.serve.answering import answer, open_offer
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Served
from edgecls.serve.question import Question, Reply
from edgecls.system.worker import Worker

_START_S = 120.0  # for a process to start and open all artifacts
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # there is a worker for each core already
_LENGTH = struct.Struct("<Q")  # of a reply's pickle
_LENGTHS = struct.Struct("<QQ")  # of the pickle of a batch, and of its bodies
_KEPT_BYTES = 4 << 20  # for bodies; giving the memory back after each batch and taking it again costs more than copying them


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
        fault: the traceback, where our own code failed over it; empty where the process ended.
        was_begun: whether the worker may have worked on it; those behind it in the queue of a worker that ended were not.
    """

    tickets: list[Ticket]
    replies: list[Reply] | None = None
    fault: str = ""
    was_begun: bool = True


OnDone = Callable[["Attendant", Outcome], None]


class Attendant(asyncio.Protocol):
    """A worker process with the batches that it has not answered yet. All methods but `close` are for the loop's thread.

    Attributes:
        cards: of the artifacts that it has open.
        at_work: the first is the one that it works on.
        lost: why it ended by itself; empty as long as it has not.
    """

    def __init__(self, worker: Worker, cards: list[Card], timeout_s: float, on_done: OnDone) -> None:
        self.cards, self.at_work, self.lost = cards, deque[list[Ticket]](), ""
        self._worker, self._timeout_s, self._on_done = worker, timeout_s, on_done
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Process identifier."""
        return self._worker.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is there no more."""
        return bool(self.lost) or self._worker.has_ended

    def give(self, batch: list[Ticket]) -> None:
        """Send a batch, which is worked on after those before it."""
        self.at_work.append(batch)
        self._line.writelines(_asked([ticket.question for ticket in batch]))
        if len(self.at_work) == 1:
            self._set_alarm()

    def kill(self) -> None:
        """End the process at once; its batches are lost."""
        threading.Thread(target=self._worker.kill, daemon=True).start()

    def close(self) -> None:
        """Let the process end. Blocks for a moment: for a thread."""
        self._worker.close()

    def connection_made(self, transport: Any) -> None:
        """Of asyncio: the line is there."""
        self._line: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        """Of asyncio: a part of a reply, or several."""
        self._received += data
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                return
            found = pickle.loads(memoryview(self._received)[_LENGTH.size : end])
            del self._received[:end]
            batch = self.at_work.popleft()
            self._set_alarm()
            self._on_done(self, Outcome(batch, fault=found) if isinstance(found, str) else Outcome(batch, found))

    def watch(self, ended: Future[None]) -> None:
        """Have its end noticed, whatever brings it about."""

        def tell(done: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: the server has ended
                self._loop.call_soon_threadsafe(self._lose, str(done.exception() or "a worker process ended"))

        ended.add_done_callback(tell)

    def _lose(self, why: str) -> None:
        self.lost = why
        self._line.close()
        batches = list(self.at_work)
        self.at_work.clear()
        self._set_alarm()
        for number, batch in reversed(list(enumerate(batches))):  # the last first: those not begun keep their order in the queue
            self._on_done(self, Outcome(batch, was_begun=number == 0))

    def _set_alarm(self) -> None:
        """A batch that is worked on for too long ends the process."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(self._timeout_s, self.kill) if self.at_work else None


async def hire(served: Sequence[Served], limits: Limits, on_done: OnDone) -> Attendant:
    """Start a worker and have it open the artifacts.

    Raises:
        ArtifactError: one of them cannot be opened.
        WorkerError: the process ended over it.
    """
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        worker = await asyncio.to_thread(Worker, _ENVIRONMENT, inherited=(theirs.fileno(),))
        undo.callback(worker.kill)
        opening = worker.start(open_offer, list(served), limits)
        cards = await asyncio.to_thread(worker.wait, opening, _START_S)
        attendant = Attendant(worker, cards, limits.timeout_s, on_done)
        await asyncio.get_running_loop().create_unix_connection(lambda: attendant, sock=ours)
        attendant.watch(worker.start(attend, theirs.fileno()))
        undo.pop_all()
    return attendant


def attend(descriptor: int) -> None:
    """What a worker does from then on: answer what comes over the line until it is closed.

    Args:
        descriptor: of the worker's end of the socket.
    """
    kept = bytearray(_KEPT_BYTES)
    with socket.socket(fileno=descriptor) as line:
        while head := line.recv(_LENGTHS.size, socket.MSG_WAITALL):
            length, bodies = _LENGTHS.unpack(head)
            heads = line.recv(length, socket.MSG_WAITALL)
            room = memoryview(kept if bodies <= _KEPT_BYTES else bytearray(bodies))[:bodies]
            if bodies and line.recv_into(room, flags=socket.MSG_WAITALL) < bodies:
                return  # the server has ended in the middle of a batch: the rest of the room is of the one before
            line.sendall(_framed(_answered(heads, room.toreadonly())))


def _asked(questions: Sequence[Question]) -> list[bytes | memoryview]:
    """A batch on the line: lengths, the questions without their bodies, the bodies. These may be long: nothing copies them here.

    Empty ones are left out: with one at the end asyncio's own transport, from Python 3.12 on, tries again and again to send nothing.
    """
    bodies = [question.body for question in questions if question.body]
    pickled = pickle.dumps([(question[:-1], len(question.body)) for question in questions], pickle.HIGHEST_PROTOCOL)
    return [_LENGTHS.pack(len(pickled), sum(map(len, bodies))) + pickled, *bodies]


def _answered(pickled: bytes, room: memoryview) -> list[Reply] | str:
    """The replies to what `_asked` sent, or where our own code fails the traceback: every failure must reach the server, which waits."""
    try:
        questions, start = [], 0
        for head, length in pickle.loads(pickled):
            questions.append(Question(*head, body=room[start : start + length]))
            start += length
        return answer(questions)
    except Exception:  # noqa: BLE001 - the border of a process
        return traceback.format_exc()


def _framed(message: Any) -> bytes:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body
