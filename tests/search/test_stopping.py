"""Time, trials, and trainings that are given up."""

from __future__ import annotations

import pytest

from edgecls.errors import InputError
from edgecls.records.recipe import ChannelPruning
from edgecls.search import Allowance, LossBar, parse_time
from edgecls.search.stopping import loss_bar
from search_landscapes import space, trial

HALF = space().candidate((ChannelPruning(share=0.5),))


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), (" 2m30s ", 150)])
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0m", "-3m", "m", "3m1h", "30 minutes", "infm"])
def test_no_times(text: str) -> None:
    with pytest.raises(InputError, match="--time 30m"):
        parse_time(text)


def test_the_allowance_ends_with_the_time_but_for_the_reserve_and_with_the_trials() -> None:
    now = 0.0
    allowance = Allowance(100, 2, reserve_seconds=20, clock=lambda: now)
    one = trial(HALF, 0.0, 1.0)
    assert allowance.allows([]) and allowance.allows([one]) and not allowance.allows([one, one])
    now = 79.0
    assert allowance.seconds_left == 1 and allowance.allows([])
    now = 80.0
    assert not allowance.allows([])


def test_a_training_is_given_up_where_its_loss_is_far_above_one_that_was_too_much() -> None:
    bar = LossBar(0.4)
    assert not bar.gives_up([9.0], 6)  # one epoch tells nothing
    assert bar.gives_up([1.0, 0.68], 6)  # above 0.4 * (1 + 4 / 6) = 0.667
    assert not bar.gives_up([1.0, 0.66], 6)
    assert bar.gives_up([1.0, 0.9, 0.8, 0.7, 0.5], 6)  # above 0.4 * 7 / 6 = 0.467
    assert not bar.gives_up([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], 6)  # it is over anyway
    assert not LossBar().gives_up([9.0, 9.0], 6)


def test_the_bar_is_the_least_loss_that_was_too_much_but_never_below_what_held() -> None:
    failed = [trial(HALF, 2.0, 1.0, held_out_loss=[0.9, loss]) for loss in (0.5, 0.45)]
    held = [trial(HALF, 0.1, 1.0, 0.1, held_out_loss=[0.9, 0.6])]
    assert loss_bar(held, 0.5).loss == float("inf")
    assert loss_bar(failed, 0.5).loss == 0.45
    assert loss_bar([*failed, *held], 0.5).loss == 0.6
