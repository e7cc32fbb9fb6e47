"""Figures of a latency, and when they are not to be trusted. Clocks and counters are given, so nothing here depends on the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecls.records.latency import Conditions, Latency
from edgecls.timing.conditions import Counters, conditions_of, read_counters
from edgecls.timing.latency import compare_latency, summarize, summarize_minutes
from edgecls.timing.stopwatch import Turn, sample
from edgecls.timing.validity import judge_latency

QUIET = Counters(busy_s=1.0, total_s=2.0, own_s=0.99, major_faults=0, swapped_pages=0, frequency_mhz=3000.0)


def turn(samples_ms: np.ndarray | list[float], machine: Counters = QUIET) -> Turn:
    return Turn((np.asarray(samples_ms) * 1e6).astype(np.int64), machine)


def steady(rounds: int = 5, ms: float = 10.0, seed: int = 0) -> list[Turn]:
    random = np.random.default_rng(seed)
    return [turn(ms * (1 + 0.01 * random.random(40))) for _ in range(rounds)]


def reasons(latency: Latency) -> list[str]:
    assert latency.validity is not None
    assert (latency.validity.verdict == "valid") == (not latency.validity.reasons)
    return [reason.code for reason in latency.validity.reasons]


def test_percentiles():
    latency = summarize([turn(np.arange(1, 102))], warmup_runs=3)  # 1 to 101 ms: 100 steps, so each percentile is a sample
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == pytest.approx((51, 91, 100))
    assert (latency.min_ms, latency.max_ms, latency.runs, latency.warmup_runs) == (1, 101, 101, 3)
    assert latency.samples_ms == list(range(1, 102))


def test_rounds_interval_and_histogram():
    turns = [turn([1.0, 2.0, 3.0, 90.0]), turn([2.0, 4.0, 6.0, 8.0])]
    latency = summarize(turns, warmup_runs=0)
    assert latency.rounds_p50_ms == [2.5, 5.0]
    assert latency.p50_interval is not None
    assert latency.p50_interval.low <= latency.p50_ms == 3.5 <= latency.p50_interval.high
    assert latency.histogram is not None
    assert len(latency.histogram.edges_ms) == len(latency.histogram.counts) + 1
    assert sum(latency.histogram.counts) == 8  # the straggler too
    assert latency.histogram.edges_ms[-1] == 90.0


def test_equal_samples_make_a_histogram():
    latency = summarize([turn([2.0] * 60)], warmup_runs=0)
    assert latency.histogram is not None
    assert sum(latency.histogram.counts) == 60


class TestSampling:
    def test_at_least_so_long_and_so_often(self):
        now = iter(range(0, 10_000_000, 1_000_000))
        assert sample(lambda: None, 0.0, 3, lambda: next(now)) == [1_000_000] * 3  # the clock goes on by a millisecond a look

    def test_until_the_time_is_over(self):
        clock = Clock(invocation_ns=300)
        found = sample(clock.invoke, 1e-6, 1, clock)  # 1,000 ns: the fourth inference ends after them
        assert found == [300] * 4


class Clock:
    """A clock that only inferences move."""

    def __init__(self, invocation_ns: int) -> None:
        self.now, self._invocation_ns = 0, invocation_ns

    def __call__(self) -> int:
        return self.now

    def invoke(self) -> None:
        self.now += self._invocation_ns


class TestValidity:
    def test_a_steady_run_is_valid(self):
        assert reasons(summarize(steady(), 5)) == []

    def test_too_few_runs(self):
        assert "too_few_runs" in reasons(summarize([turn([30.0] * 20), turn([30.0] * 20)], 5))  # 1.2 s, but 40 runs
        assert "too_few_runs" in reasons(summarize([turn([1.0] * 200), turn([1.0] * 200)], 5))  # 400 runs in 0.4 s
        assert reasons(summarize([turn([30.0] * 25), turn([30.0] * 25)], 5)) == []

    @pytest.mark.parametrize(("slower", "expected"), [(1.08, []), (1.2, ["too_noisy"])])
    def test_rounds_that_disagree(self, slower: float, expected: list[str]):
        """Half of six rounds are slower: the tenth and ninetieth percentile are of one half each."""
        turns = [turn([10.0 * (slower if number % 2 else 1.0)] * 40) for number in range(6)]
        assert reasons(summarize(turns, 5)) == expected

    def test_one_slow_round_of_many_is_no_noise(self):
        turns = [*steady(24), turn([30.0] * 40)]
        assert reasons(summarize(turns, 5)) == []

    def test_a_single_round_tells_nothing(self):
        assert reasons(summarize([turn([20.0] * 60)], 5)) == ["too_noisy"]

    @pytest.mark.parametrize(
        ("machine", "code", "words"),
        [
            ({"busy_s": 1.6}, "machine_loaded", "others took 30% of the processor"),  # (1.6 - 0.99) / 2
            ({"frequency_mhz": 2000.0}, "frequency_changed", "2000 to 3000 MHz"),
            ({"major_faults": 5}, "memory_swapped", "pages came from disk"),
            ({"swapped_pages": 1}, "memory_swapped", "swap space"),
        ],
    )
    def test_the_machine(self, machine: dict[str, float], code: str, words: str):
        disturbed = Counters(**{**QUIET.__dict__, **machine})
        every = code != "frequency_changed"
        turns = [
            turn(found.samples_ns / 1e6, disturbed if every or number == 2 else QUIET) for number, found in enumerate(steady())
        ]
        latency = summarize(turns, 5)
        assert reasons(latency) == [code]
        assert latency.validity is not None
        assert words in latency.validity.reasons[0].text

    def test_load_average_where_nothing_better_is_known(self):
        latency = summarize(steady(), 5)
        assert judge_latency(latency, Conditions(load_average=0.9), cores=2).verdict == "valid"
        assert judge_latency(latency, Conditions(load_average=1.1), cores=2).reasons[0].code == "machine_loaded"
        assert judge_latency(latency, Conditions(load_average=1.1, others_cpu_share=0.01), cores=2).verdict == "valid"

    def test_a_machine_that_tells_nothing(self):
        unknown = Counters(None, None, 0.5, None, None, None)
        assert conditions_of([unknown, unknown], None) == Conditions()
        assert judge_latency(summarize(steady(), 5), Conditions()).verdict == "valid"


class TestCounters:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        (tmp_path / "stat").write_text("cpu  100 10 50 1000 20 5 5 10 30 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
        (tmp_path / "vmstat").write_text("nr_free_pages 5\npswpin 3\npswpout 4\npswpin_zero 9\n")
        (tmp_path / "cpuinfo").write_text("processor : 0\ncpu MHz\t\t: 2596.0\nprocessor : 1\ncpu MHz\t\t: 1200.5\n")
        return tmp_path

    def test_as_linux_writes_them(self, machine: Path):
        found = read_counters(machine, machine / "none")
        # at 100 ticks a second: user 100, nice 10, system 50, irq 5, softirq 5, steal 10 are busy; idle 1000 and iowait 20 are not
        assert (found.busy_s, found.total_s) == pytest.approx((1.80, 12.00))
        assert (found.swapped_pages, found.frequency_mhz) == (7, 2596.0)
        assert found.own_s > 0

    def test_the_governor_knows_the_frequency_best(self, machine: Path):
        (machine / "cpu3" / "cpufreq").mkdir(parents=True)
        (machine / "cpu3" / "cpufreq" / "scaling_cur_freq").write_text("1800000\n")
        assert read_counters(machine, machine).frequency_mhz == 1800.0

    def test_nothing_there(self, tmp_path: Path):
        found = read_counters(tmp_path, tmp_path)
        assert (found.busy_s, found.total_s, found.swapped_pages, found.frequency_mhz) == (None, None, None, None)

    def test_differences(self, machine: Path):
        before = read_counters(machine, machine)
        (machine / "stat").write_text("cpu  300 10 50 1800 20 5 5 10 30 0\n")
        between = read_counters(machine, machine).since(before)
        assert (between.busy_s, between.total_s, between.swapped_pages) == pytest.approx((2.0, 10.0, 0))


class TestComparison:
    def test_the_same_twice_and_one_slowed(self):
        first, second = summarize(steady(25, seed=1), 5), summarize(steady(25, seed=2), 5)
        slowed = summarize(steady(25, ms=10.5, seed=3), 5)
        same, slower = compare_latency(second, first, "a"), compare_latency(slowed, first, "a")
        assert same is not None and slower is not None
        assert (same.reference, same.verdict) == ("a", "no difference")
        assert slower.verdict == "slower"
        assert slower.ratio == pytest.approx(1.05, abs=0.005)  # medians of 40 uniform samples of 1 %: 0.0025 at most
        back = compare_latency(first, slowed, "b")
        assert back is not None and back.verdict == "faster"

    def test_other_rounds_are_not_comparable(self):
        assert compare_latency(summarize(steady(5), 5), summarize(steady(6), 5), "a") is None
        assert compare_latency(summarize(steady(1), 5), summarize(steady(1), 5), "a") is None


def test_minutes():
    found = summarize_minutes([np.full(10, 2_000_000), np.full(10, 3_000_000)], threads=2)
    assert [(row.minute, row.runs, row.p50_ms, row.p90_ms) for row in found.minutes] == [(1, 10, 2.0, 2.0), (2, 10, 3.0, 3.0)]
    assert (found.slowdown, found.threads) == (1.5, 2)
