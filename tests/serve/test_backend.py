"""Backend and service in this process, where an operating system refuses something for a while."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from edgecls.errors import RemoteError
from edgecls.serve import backend as backends
from edgecls.serve.backend import Backend
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Asked, Offer, stamp_of
from edgecls.serve.service import Service

REFUSED = [
    OSError(errno.EMFILE, "Too many open files"),
    RemoteError("MemoryError", "no room", ""),
    RuntimeError("can't start new thread"),
    MemoryError("no room"),
]


class Ended:
    """In place of an attendant whose process has ended."""

    def __init__(self) -> None:
        self.at_work, self.has_ended, self.lost = deque[Any](), True, "it was killed"


@pytest.mark.parametrize("refusal", REFUSED, ids=["descriptors", "memory there", "threads", "memory here"])
def test_a_worker_that_ended_is_replaced_once_another_can_start(refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    new, told, found = Ended(), [], [refusal]
    new.has_ended = False

    async def hire(*_: Any) -> Any:
        if found:
            raise found.pop()
        return new

    async def replaced() -> list[Any]:
        backend = Backend(Offer((), (), None), Limits(), 1, on_loss=told.append)
        backend.attendants = [Ended()]  # type: ignore[list-item]
        backend.look_after()
        async with asyncio.timeout(10):
            while not backend.attendants:
                await asyncio.sleep(0.05)
        return backend.attendants

    monkeypatch.setattr(backends, "hire", hire)
    assert asyncio.run(replaced()) == [new]
    assert told == ["it was killed", str(refusal)]


@pytest.mark.parametrize("refusal", REFUSED, ids=["descriptors", "memory there", "threads", "memory here"])
def test_files_that_cannot_be_opened_now_are_told_of_and_what_lies_there_is_watched_on(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    service = Service(Asked(()), Limits(), 1, "", told.append)

    async def refuse() -> Any:
        raise refusal

    monkeypatch.setattr(service, "_open", refuse)
    asyncio.run(service._reload())
    assert told == [f"what is served has changed, but cannot be served; the former goes on: {refusal}"]


def test_a_folder_that_cannot_be_listed_at_the_moment_has_another_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.tflite").write_bytes(b"a model")
    before = stamp_of([tmp_path])

    def refuse(self: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "iterdir", refuse)
        assert stamp_of([tmp_path]) != before
    assert stamp_of([tmp_path]) == before
