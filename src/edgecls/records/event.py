"""Event: what a command tells while it works. All tell in one way, so that all are shown alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """How far something is.

    Attributes:
        stage: what is being done, for people: `reading model.h5`, `latency`.
        subject: the artifact or variant it is done to; empty where it is no single one.
        done, total: steps; 0 of 0 where it has none that could be counted.
        detail: what changes from step to step, beside the bar: `loss 0.412, 35 s left`.
        outcome: how it ended, in a word or two, once all steps are done.
        remark: a sentence that stays to be read; empty for none.
    """

    stage: str
    subject: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    outcome: str = ""
    remark: str = ""

    @property
    def title(self) -> str:
        """Stage and subject."""
        return f"{self.stage} {self.subject}".strip()


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Tell nobody."""
