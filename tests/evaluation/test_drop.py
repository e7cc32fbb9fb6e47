"""Lower bounds of a drop, against SciPy's and statsmodels' own and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgecls.evaluation.drop import most_paired_drop, paired_drop, unpaired_drop


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (5, 0), (9, 2), (30, 12), (400, 330), (0, 4), (3, 3)])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_paired_bound_is_clopper_pearson(lost: int, gained: int, confidence: float) -> None:
    changed = lost + gained
    share = stats.binomtest(lost, changed, alternative="greater").proportion_ci(confidence, method="exact").low
    # both invert the same tail; lgamma's rounding (1e-15 of values up to 1e4) bounds the difference
    assert paired_drop(lost, gained, 2000, confidence) == pytest.approx((2 * share - 1) * changed / 2000, abs=1e-9)


@pytest.mark.parametrize(("lost", "gained"), [(4, 0), (5, 0), (9, 2), (9, 3), (30, 18), (30, 19), (2, 8)])
def test_a_drop_is_shown_exactly_where_mcnemar_finds_one(lost: int, gained: int) -> None:
    p = stats.binomtest(lost, lost + gained, alternative="greater").pvalue
    assert (paired_drop(lost, gained, 500, 0.95) > 0) == (p < 0.05)


def test_nothing_changed_is_no_drop() -> None:
    assert paired_drop(0, 0, 100, 0.95) == 0.0


@pytest.mark.parametrize(
    ("before", "before_images", "now", "now_images"),
    [(0.8, 70, 0.6, 80), (0.76, 2000, 0.74, 2000), (0.9, 10, 0.3, 10), (1, 10, 1, 20)],
)
def test_the_unpaired_bound_is_newcombes(before: float, before_images: int, now: float, now_images: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason="statsmodels is not installed")
    low, _ = proportion.confint_proportions_2indep(
        round(before * before_images),
        before_images,
        round(now * now_images),
        now_images,
        method="newcomb",
        compare="diff",
        alpha=0.1,
    )  # two-sided 90 % is one-sided 95 %
    assert unpaired_drop(before, before_images, now, now_images, 0.95) == pytest.approx(low, abs=1e-12)


def test_the_published_example_of_the_unpaired_bound() -> None:
    """Newcombe 1998, table II (a): 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339 at 95 % two-sided."""
    assert unpaired_drop(56 / 70, 70, 48 / 80, 80, 0.975) == pytest.approx(0.0524, abs=5e-5)


def test_where_accuracy_is_the_same_few_runs_see_a_drop() -> None:
    """600 draws at 5 %: 30 false alarms expected, standard deviation 5.3; 50 is beyond three of them. Exact tests stay below."""
    generator = np.random.default_rng(5)
    changes = generator.multinomial(1000, [0.03, 0.03, 0.94], size=600)
    alarms = sum(paired_drop(int(lost), int(gained), 1000, 0.95) > 0 for lost, gained, _ in changes)
    shares = generator.binomial(1000, 0.8, (600, 2)) / 1000
    unpaired = sum(unpaired_drop(float(before), 1000, float(now), 1000, 0.95) > 0 for before, now in shares)
    assert 0 < alarms < 50
    assert 0 < unpaired < 50


@pytest.mark.parametrize("rates", [(0.03, 0.03), (0.05, 0.01), (0.001, 0.001), (0.2, 0.1)])
def test_the_most_that_a_drop_may_be_is_rarely_exceeded(rates: tuple[float, float]) -> None:
    """2,000 samples: 5 % may lie beyond the bound; 4 standard deviations of that share, sqrt(0.05 * 0.95 / 2000), are 2 % more, and
    the approximation is worth 2 % where few images change sides."""
    lost, gained, _ = np.random.default_rng(3).multinomial(400, [*rates, 1 - sum(rates)], 2000).T
    bounds = [most_paired_drop(int(a), int(b), 400, 0.95) for a, b in zip(lost, gained, strict=True)]
    assert np.mean(np.array(bounds) < rates[0] - rates[1]) <= 0.09


def test_images_that_all_agree_leave_room_for_some_that_do_not() -> None:
    """Worked out by hand: 1.96 * sqrt(2 / 102 / 102), a little less than the rule of three's 3 %."""
    assert most_paired_drop(0, 0, 100, 0.975) == pytest.approx(1.95996 * 2**0.5 / 102, rel=1e-5)
