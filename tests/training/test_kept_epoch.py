"""Which epoch of a training is kept: the last that few held-out images cannot tell from the best. No framework."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgecls.records.training import TrainingEpoch
from edgecls.training.fitting import kept_epoch


def epochs(scores: Sequence[float]) -> list[TrainingEpoch]:
    facts = {"phase": "training", "loss": 1.0, "held_out_loss": 1.0, "learning_rate": 1e-3, "images_per_s": 1.0, "seconds": 1.0}
    return [TrainingEpoch(epoch=number, held_out_score=score, **facts) for number, score in enumerate(scores, 1)]


@pytest.mark.parametrize(
    ("scores", "images", "kept"),
    [
        ([0.60, 0.786, 0.70, 0.77, 0.768], 56, 5),  # a standard error is 5.5 points: the third is told apart, the last is not
        ([0.60, 0.786, 0.70, 0.77, 0.768], 10_000, 2),  # 0.4 points
        ([0.5, 0.6, 0.7], 100, 3),
        ([0.9, 0.5, 0.4], 100, 1),
        ([1.0, 0.99], 100, 1),  # nothing is left to chance
        ([1.0, 1.0], 100, 2),
        ([0.0], 4, 1),
    ],
)
def test_the_last_that_cannot_be_told_from_the_best(scores: list[float], images: int, kept: int) -> None:
    assert kept_epoch(epochs(scores), images).epoch == kept


def test_what_is_kept_was_the_newest_or_was_kept_before() -> None:
    """Weights of other epochs are gone."""
    scores = [0.5, 0.71, 0.66, 0.4, 0.69, 0.75, 0.72, 0.6]
    kept = [kept_epoch(epochs(scores[:count]), 100).epoch for count in range(1, len(scores) + 1)]
    assert all(now in (count, before) for count, (before, now) in enumerate(zip([1, *kept], kept, strict=False), 1))
