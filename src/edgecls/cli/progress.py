"""Bars on stderr for whatever a command's stages tell."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID

    from edgecls.records.event import Event


class Bars:
    """A line for the step at work, a bar for each that has parts; called with every event.

    Bars vanish when they are full, but for those with an outcome, and all of them at the end; remarks stay. Where nobody looks on, in a
    log or a pipe, there are remarks alone.

    Args:
        remarks: whether remarks are shown.
    """

    def __init__(self, *, remarks: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(file=_own_stderr(), highlight=False, markup=False, emoji=False)  # as that on stdout
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._remarks = remarks
        self._step = self._bars.add_task("starting", total=None)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.remark and self._remarks:
            self._bars.console.print(event.remark, soft_wrap=True)
        if event.total:
            self._show_parts(event)
        elif not event.remark:
            self._bars.update(self._step, description=event.title, visible=True)

    def _show_parts(self, event: Event) -> None:
        if event.title not in self._tasks:
            self._tasks[event.title] = self._bars.add_task(event.title, total=event.total)
        full = event.done >= event.total
        self._bars.update(self._step, visible=False)
        self._bars.update(
            self._tasks[event.title],
            description=f"{event.title}: {event.outcome or event.detail}".removesuffix(": "),
            completed=event.done,
            total=event.total,
            visible=bool(event.outcome) or not full,
        )

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()


def _own_stderr() -> TextIO:
    """stderr under a descriptor of its own, where it has one: the bars go on while a framework's messages are caught."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
    except OSError:  # a stream in memory, as a notebook's
        return sys.stderr
