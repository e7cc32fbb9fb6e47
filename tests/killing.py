"""Kills a process before each step that it takes on the file system."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

STEPS = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "tempfile.mkdtemp"}


def killed_at_every_step(prepare: Callable[[], None], work: Callable[[], None]) -> Iterator[int]:
    """Prepare, and do the work in a process that is killed before its first step; then before its second, and so on to its end.

    Python tells an audit hook of every call that opens, renames or removes; what lies between two of them changes no name.
    """
    step = 0
    while True:
        prepare()
        if not _is_killed(step, work):
            return
        yield step
        step += 1


def _is_killed(step: int, work: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        _kill_before(step)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return False


def _kill_before(step: int) -> None:
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(hook)
