"""Which trial is the pick."""

from __future__ import annotations

from edgecls.records.recipe import Pruning
from edgecls.search import choose
from search_landscapes import space, trial

ASKED = space()
SOME = [ASKED.candidate((Pruning(sparsity=share),)) for share in (0.5, 0.7, 0.85, 0.93)]


def test_the_smallest_that_both_halves_find_within_the_limit() -> None:
    good, chosen_only, not_judged, smallest = (
        trial(SOME[0], 0.1, 80.0, 0.5),  # just within
        trial(SOME[1], 0.2, 60.0, 0.6),
        trial(SOME[2], 0.3, 70.0),
        trial(SOME[3], 0.7, 40.0),
    )
    choice = choose([smallest, chosen_only, not_judged, good], ASKED.goal)
    assert choice.pick is good
    assert choice.passed_over == [chosen_only]
    assert choice.nearest == []


def test_a_loss_at_the_limit_is_within_it_whatever_its_last_digit() -> None:
    assert choose([trial(SOME[0], 0.1 + 0.4, 80.0, 100 * (0.9 - 0.895))], ASKED.goal).pick is not None


def test_without_a_pick_the_nearest_come_first_by_what_both_halves_say() -> None:
    far, near = trial(SOME[0], 3.0, 10.0), trial(SOME[1], 0.4, 20.0, 1.2)
    failed = trial(SOME[2], None, None, status="failed")
    choice = choose([far, near, failed], ASKED.goal)
    assert choice.pick is None
    assert choice.nearest == [near, far]
