"""Choosing between ways of quantizing on images that made neither."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.quantization.choosing import FEWEST, is_better, measure


def logits(images: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, (images, 10))


def with_noise(values: np.ndarray, deviation: float, seed: int) -> list[np.ndarray]:
    return [values + np.random.default_rng(seed).normal(0, deviation, values.shape)]


def test_what_is_closer_on_every_measure_is_better():
    asked = [logits(64)]
    near, far = (measure(asked, with_noise(asked[0], deviation, 1)) for deviation in (0.1, 0.3))
    assert is_better(near, far)
    assert not is_better(far, near)
    assert not is_better(near, near)


def test_few_images_choose_nothing():
    asked = [logits(FEWEST - 1)]
    near, far = (measure(asked, with_noise(asked[0], deviation, 1)) for deviation in (0.1, 0.3))
    assert not is_better(near, far)


def test_equally_good_ways_seldom_replace_one_another():
    """Ahead by one standard error in one measure and behind by none in three others: at most 1 in 6, the share of the first
    alone; sixty attempts tell that share to some 5 %."""
    asked = [logits(32)]
    attempts = [measure(asked, with_noise(asked[0], 0.3, seed)) for seed in range(60)]
    replaced = np.mean([is_better(one, other) for one in attempts for other in attempts if one is not other])
    assert replaced < 1 / 6 + 0.1


def test_lost_winners_outweigh_closer_logits():
    asked = logits(64)
    near, far = asked + 0.01, with_noise(asked, 0.05, 1)[0]
    near[:8] = asked[:8][:, ::-1] * 0.999
    closer_but_wrong = measure([asked], [np.where(np.arange(64)[:, None] < 8, near, asked)])
    assert not is_better(closer_but_wrong, measure([asked], [far]))


@pytest.mark.parametrize("outputs", [1, 2, 10])
def test_the_loss_is_the_share_of_energy_that_is_error(outputs: int):
    """Scaled by 1.1 a score's error is a tenth of it: a hundredth of its energy."""
    asked = np.random.default_rng(0).normal(0, 3, (16, outputs))
    assert measure([asked], [asked * 1.1]).loss == pytest.approx(0.01)
