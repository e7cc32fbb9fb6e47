"""When to stop: the time and the trials that a search may take, and the held-out loss at which a training is given up."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecls.errors import InputError
from edgecls.records.trial import Trial

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_LEAST_EPOCHS = 2  # before a training is judged


def parse_time(text: str) -> float:
    """Seconds of `30m`, `1h30m`, `90s`.

    Raises:
        InputError: something else, or no time at all.
    """
    found = _TIME.fullmatch(text.strip())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise InputError("a time such as 30m, 1h30m or 90s with --time", repr(text), "write --time 30m")
    return total


class Allowance:
    """How long a search may go on.

    Args:
        seconds: from now on.
        trials: in all, those of an earlier run included; None for any number.
        reserve_seconds: kept back for the last measurement.
        clock: seconds, ever rising.
    """

    def __init__(
        self, seconds: float, trials: int | None, reserve_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._trials = clock, trials
        self._end, self._reserve = clock() + seconds, reserve_seconds

    @property
    def seconds_left(self) -> float:
        """For trials."""
        return max(0.0, self._end - self._clock() - self._reserve)

    def allows(self, trials: Sequence[Trial]) -> bool:
        """Whether another trial may begin."""
        return self.seconds_left > 0 and (self._trials is None or len(trials) < self._trials)


@dataclass(frozen=True)
class LossBar:
    """The held-out loss that a training has to get under.

    Attributes:
        loss: the least with which a finished trial still lost too much accuracy; infinite while none did.
    """

    loss: float = float("inf")

    def gives_up(self, losses: Sequence[float], epochs: int) -> bool:
        """Whether a training is hopeless after these epochs of so many.

        The loss must be above the bar by as much, as a share, as the epochs that are left are of all: half above it at half time.
        """
        done = len(losses)
        if done < min(_LEAST_EPOCHS, epochs) or done >= epochs:
            return False
        return losses[-1] > self.loss * (1 + (epochs - done) / epochs)


def loss_bar(trials: Sequence[Trial], points: float) -> LossBar:
    """The bar after some trials: above what those that held ended with, whatever failed beside them."""
    finished = [trial for trial in trials if trial.status == "measured" and trial.held_out_loss]
    failed = [trial.held_out_loss[-1] for trial in finished if not trial.is_chosen(points)]
    held = [trial.held_out_loss[-1] for trial in finished if trial.is_chosen(points)]
    if not failed:
        return LossBar()
    return LossBar(max(min(failed), statistics.fmean(held) if held else 0.0))
