"""Choice: the best of the trials that both halves of the held-out images find within the limit, or those that come nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgecls.records.trial import Goal, Trial

_NEAREST = 3


@dataclass(frozen=True)
class Choice:
    """How a search ended.

    Attributes:
        pick: None where nothing is within the limit.
        passed_over: smaller ones that the choosing half had found within the limit and the judging half did not.
        nearest: where there is no pick, those that lose least.
    """

    pick: Trial | None
    passed_over: list[Trial] = field(default_factory=list)
    nearest: list[Trial] = field(default_factory=list)


def best_of(trials: Sequence[Trial], points: float) -> Trial | None:
    """The trial of least value that both halves find within the limit."""
    held = [trial for trial in trials if trial.holds(points)]
    return min(held, key=lambda trial: trial.value or 0.0, default=None)


def choose(trials: Sequence[Trial], goal: Goal) -> Choice:
    """The pick, or the nearest ones."""
    points = goal.within_points
    pick = best_of(trials, points)
    if pick is None:
        known = [trial for trial in trials if trial.drop is not None]
        return Choice(None, nearest=sorted(known, key=lambda trial: trial.drop or 0.0)[:_NEAREST])
    smaller = [trial for trial in trials if trial.value is not None and trial.value < (pick.value or 0.0)]
    return Choice(pick, [trial for trial in smaller if trial.is_chosen(points) and trial.judging_drop is not None])
