"""TimeLeft: how long a training still takes, from how long its steps took so far."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST = 3  # steps that say nothing: the first ones trace and warm up


class TimeLeft:
    """Told of every step, says in words what is left; with validation and whatever else happens between steps.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None
        self._calls = 0
        self.words = ""

    def __call__(self, done: int, total: int) -> str:
        """`1 min 20 s left` after so many steps; empty as long as nothing is known."""
        self._calls += 1
        if self._calls == _FIRST:
            self._start = self._clock(), done
        if self._start is None or done == self._start[1]:
            return self.words
        passed = self._clock() - self._start[0]
        self.words = f"{_said(passed / (done - self._start[1]) * (total - done))} left"
        return self.words


def _said(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
