"""Intervals and tests against scipy, scikit-learn, statsmodels and published examples, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from edgecls.evaluation.statistics import calibration_of, mcnemar_p, wilson_interval
from edgecls.timing.statistics import median_interval, ratio_interval


class TestWilson:
    def test_published_example(self) -> None:
        """Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
        found = wilson_interval(81, 263)
        assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
        found = wilson_interval(0, 20)
        assert (round(found.low, 4), round(found.high, 4)) == (0.0, 0.1611)

    @given(some.integers(1, 20_000).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n))), some.floats(0.5, 0.999))
    @settings(max_examples=200, deadline=None)
    def test_whole_hits_as_scipy_and_statsmodels(self, counts: tuple[int, int], confidence: float) -> None:
        found = wilson_interval(*counts, confidence)
        scipys = scipy.stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
        others = proportion_confint(*counts, alpha=1 - confidence, method="wilson")
        # the same closed form in another order: a few roundings of 1e-16 each, amplified where low is a difference near 0
        assert found.low == pytest.approx(scipys.low, abs=1e-12)
        assert found.high == pytest.approx(scipys.high, abs=1e-12)
        assert (found.low, found.high) == pytest.approx(others, abs=1e-12)

    @pytest.mark.parametrize("share", [0.5, 0.76, 0.95])
    def test_coverage(self, share: float) -> None:
        """Of 4,000 samples of 1,000 images, 95 % cover the true share.

        The exact coverage of Wilson's interval at n = 1000 lies within 0.005 of 0.95 for these shares (a binomial sum, computed
        here); the simulation adds four standard errors, 4 * sqrt(0.95 * 0.05 / 4000) = 0.0138.
        """
        hits = np.arange(1001)
        covered = np.array([(found := wilson_interval(hit, 1000)).low <= share <= found.high for hit in hits.tolist()])
        exact = scipy.stats.binom.pmf(hits, 1000, share) @ covered
        assert exact == pytest.approx(0.95, abs=0.005)
        drawn = np.random.default_rng(1).binomial(1000, share, 4000)
        assert covered[drawn].mean() == pytest.approx(exact, abs=0.0138)


class TestMcNemar:
    def test_published_example(self) -> None:
        """Agresti, Categorical Data Analysis, table 10.1: 86 and 150 discordant, exact two-sided p = 3.7e-5 (statsmodels agrees)."""
        assert mcnemar_p(86, 150) == pytest.approx(3.716e-5, rel=1e-3)

    @pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (0, 6), (5, 5), (27, 23), (200, 100)])
    def test_as_statsmodels(self, lost: int, gained: int) -> None:
        assert mcnemar_p(lost, gained) == pytest.approx(mcnemar([[10, lost], [gained, 10]], exact=True).pvalue, rel=1e-9)

    @given(some.integers(0, 3000), some.integers(0, 3000))
    @settings(max_examples=100, deadline=None)
    def test_as_scipys_binomial_test(self, lost: int, gained: int) -> None:
        """Ours is rounded once; scipy's sums of up to 3,000 probabilities of 1e-12 relative error each stay below 1e-8."""
        expected = scipy.stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
        assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-8)

    def test_false_alarms_are_no_more_than_promised(self) -> None:
        """Equal artifacts: p < 0.05 in at most 5 % of runs (an exact test is conservative); 3 standard errors of 2,000 runs: 0.0146."""
        lost = np.random.default_rng(2).binomial(50, 0.5, 2000)
        p = np.array([mcnemar_p(k, 50 - k) for k in range(51)])
        assert (p[lost] < 0.05).mean() <= 0.05 + 0.0146


class TestMedian:
    def test_independent_samples_as_scipys_bootstrap(self) -> None:
        """Both ends within a quarter of the interval's width: the resamples are random, and blocks of 6 thin them out."""
        samples = np.random.default_rng(3).gamma(4.0, 1.0, 200)
        found = median_interval([samples])
        theirs = scipy.stats.bootstrap(
            (samples,), np.median, method="percentile", n_resamples=4000, rng=np.random.default_rng(4)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert found.low == pytest.approx(theirs.low, abs=0.25 * width)
        assert found.high == pytest.approx(theirs.high, abs=0.25 * width)

    def test_it_is_the_same_every_time_and_holds_the_median(self) -> None:
        rounds = np.split(np.random.default_rng(5).exponential(1.0, 100) + 1, 5)
        first = median_interval(rounds)
        assert median_interval(rounds) == first
        assert first.low <= np.median(np.concatenate(rounds)) <= first.high

    @pytest.mark.parametrize("correlation", [0.0, 0.5])
    def test_coverage(self, correlation: float) -> None:
        """300 runs of 250 lognormal latencies, independent or with neighbours correlated (AR(1)): the true median is inside in 95 %.

        Four standard errors of 300 runs are 0.050. Correlated neighbours leave a block bootstrap of this length a few points short
        (Lahiri 2003, ch. 7): allowed down to 0.85 there, and still more often than the plain bootstrap.
        """
        random = np.random.default_rng(6)
        covered, plain = 0, 0
        for _ in range(300):
            noise = random.standard_normal(250)
            series = np.empty(250)
            series[0] = noise[0]
            for i in range(1, 250):
                series[i] = correlation * series[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
            samples = np.exp(0.1 * series)  # the median is 1
            found = median_interval(np.split(samples, 5))
            covered += found.low <= 1.0 <= found.high
            plain += _plain(samples, random)
        assert covered / 300 == pytest.approx(0.95, abs=0.05 if not correlation else 0.10)
        if correlation:
            assert covered > plain

    def test_one_sample_a_round(self) -> None:
        found = median_interval([np.array([1.0]), np.array([3.0])])
        assert 1.0 <= found.low <= found.high <= 3.0


def _plain(samples: np.ndarray, random: np.random.Generator) -> bool:
    medians = np.median(samples[random.integers(0, len(samples), (400, len(samples)))], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return bool(low <= 1.0 <= high)


class TestRatio:
    def test_as_scipys_paired_t_test(self) -> None:
        random = np.random.default_rng(7)
        theirs = random.lognormal(0, 0.02, 25)
        ours = theirs * 1.05 * random.lognormal(0, 0.02, 25)
        ratio, interval = ratio_interval(ours.tolist(), theirs.tolist(), 0.99)
        expected = scipy.stats.ttest_rel(np.log(ours), np.log(theirs)).confidence_interval(0.99)
        assert np.log((interval.low, interval.high)) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert interval.low < ratio < interval.high

    @pytest.mark.parametrize("rounds", [2, 3, 4, 5, 10, 25, 100])
    @pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99, 0.999])
    def test_bounds_as_scipys_t(self, rounds: int, confidence: float) -> None:
        """Logs of alternating sign have a mean of 0 or near it and a known spread: the interval's half width is the bound itself."""
        logs = np.resize([0.1, -0.1], rounds)
        _, interval = ratio_interval(np.exp(logs).tolist(), [1.0] * rounds, confidence)
        error = logs.std(ddof=1) / np.sqrt(rounds)
        bound = (np.log(interval.high) - np.log(interval.low)) / 2 / error
        assert bound == pytest.approx(scipy.stats.t.ppf(0.5 + confidence / 2, rounds - 1), rel=1e-9)

    def test_coverage_and_power(self) -> None:
        """25 rounds with 2 % noise each: at 99 %, 1 of 100 equal pairs is told apart (4 standard errors of 1,000: 0.0126), and a
        slowdown of 5 % practically always (log 1.05 is 0.0488 / (0.02 * sqrt(2 / 25)) = 8.6 standard errors away)."""
        random = np.random.default_rng(8)
        false, seen = 0, 0
        for _ in range(1000):
            first, second = random.lognormal(0, 0.02, (2, 25))
            _, interval = ratio_interval(first.tolist(), second.tolist(), 0.99)
            false += not interval.low <= 1.0 <= interval.high
            _, interval = ratio_interval((1.05 * first).tolist(), second.tolist(), 0.99)
            seen += interval.low > 1.0
        assert false / 1000 == pytest.approx(0.01, abs=0.0126)
        assert seen >= 990


class TestCalibration:
    def test_as_scikit_learns_bins(self) -> None:
        random = np.random.default_rng(9)
        confidence = random.uniform(0.1, 1.0, 5000)
        hits = (random.random(5000) < confidence**2).astype(np.float32)
        found = calibration_of(confidence, hits)
        accuracies, confidences = calibration_curve(hits, confidence, n_bins=15)
        filled = [row for row in found.bins if row.images]
        assert [row.accuracy for row in filled] == pytest.approx(accuracies.tolist(), abs=1e-6)  # float32 hits
        assert [row.confidence for row in filled] == pytest.approx(confidences.tolist(), abs=1e-12)
        assert sum(row.images for row in found.bins) == 5000
        # E|p - p^2| over 0.1..1 is (1/2 - 1/3 - (0.01/2 - 0.001/3)) / 0.9 = 0.180; sampling error sqrt(0.25 / 5000) = 0.007, three of it
        assert found.ece == pytest.approx(0.180, abs=0.021)

    def test_worked_by_hand(self) -> None:
        """Two images at 0.9 of which one is right, two at 0.6 both right: (|0.5 - 0.9| + |1 - 0.6|) / 2 = 0.4."""
        found = calibration_of(np.array([0.9, 0.9, 0.62, 0.62]), np.array([1.0, 0.0, 1.0, 1.0]))
        assert found.ece == pytest.approx((0.4 + 0.38) / 2)

    def test_certainty_belongs_to_the_last_bin(self) -> None:
        found = calibration_of(np.array([1.0]), np.array([1.0]))
        assert (found.bins[-1].images, found.ece) == (1, 0.0)
