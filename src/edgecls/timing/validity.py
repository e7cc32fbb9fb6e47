"""Whether a latency may be compared with others. A verdict in words, as MLPerf gives one for each run.

The limits:

too few runs        50 runs and one second: a p90 then rests on five samples beyond it, and on more than one slice of the scheduler.
too noisy           the rounds' medians, without their most extreme tenths, lie within 10 % of the median: interleaved rounds of an
                    undisturbed machine differ by 1 to 3 %.
machine loaded      others took no more than a tenth of all cores' time. Where the system does not tell: a load average of no more than
                    half the cores before the start.
frequency changed   the core's clock at the ends of the turns varies by no more than 10 %: latency is inverse to it.
emulated            a program takes the processor's place: no limit makes its times those of a real one.
memory swapped      pages came from disk in no more than one of a hundred runs, and the system swapped none.
"""

from __future__ import annotations

import os

import numpy as np

from edgecls.records.latency import Conditions, Doubt, Latency, Reason, Validity

_EMULATED = "emulated: a program takes the processor's place, and its times tell nothing about a real one"
LEAST_RUNS, LEAST_SECONDS = 50, 1.0
MOST_SPREAD = 0.10
MOST_OTHERS = 0.10
MOST_LOAD = 0.5
MOST_FREQUENCY_CHANGE = 0.10
MOST_FAULTS = 0.01
_SAMPLED = 0.9  # of the seconds asked for: the clock of the loop also counts what lies between two inferences


def judge_latency(latency: Latency, conditions: Conditions, cores: int | None = None, *, emulated: bool = False) -> Validity:
    """Every reason that speaks against a latency.

    Args:
        latency: with samples and the rounds' medians.
        cores: of the machine, where the load average has to do.
        emulated: the machine's processor is a program.
    """
    if emulated:
        return Validity(verdict="invalid", reasons=[Reason(code="emulated", text=_EMULATED)])
    found: list[tuple[Doubt, str]] = [
        ("too_few_runs", _too_few(latency)),
        ("too_noisy", _too_noisy(latency)),
        ("machine_loaded", _loaded(conditions, cores or os.cpu_count() or 1)),
        ("frequency_changed", _frequency(conditions)),
        ("memory_swapped", _swapped(latency, conditions)),
    ]
    reasons = [Reason(code=code, text=text) for code, text in found if text]
    return Validity(verdict="invalid" if reasons else "valid", reasons=reasons)


def _too_few(latency: Latency) -> str:
    seconds = sum(latency.samples_ms) / 1000
    if latency.runs >= LEAST_RUNS and seconds >= _SAMPLED * LEAST_SECONDS:
        return ""
    return f"too few runs: {latency.runs} in {seconds:.2g} s, needed {LEAST_RUNS} and {LEAST_SECONDS:g} s"


def _too_noisy(latency: Latency) -> str:
    if len(latency.rounds_p50_ms) < 2:
        return "too noisy to tell: a single round"
    low, high = np.percentile(latency.rounds_p50_ms, (10, 90))
    spread = (high - low) / latency.p50_ms
    return f"too noisy: medians of the rounds lie {spread:.0%} apart, allowed {MOST_SPREAD:.0%}" if spread > MOST_SPREAD else ""


def _loaded(conditions: Conditions, cores: int) -> str:
    share = conditions.others_cpu_share
    if share is not None:
        return (
            f"machine loaded: others took {share:.0%} of the processor, allowed {MOST_OTHERS:.0%}" if share > MOST_OTHERS else ""
        )
    load = conditions.load_average
    if load is not None and load > MOST_LOAD * cores:
        return f"machine loaded: a load average of {load:.1f} on {cores} cores before the start, allowed {MOST_LOAD * cores:g}"
    return ""


def _frequency(conditions: Conditions) -> str:
    low, high = conditions.frequency_min_mhz, conditions.frequency_max_mhz
    if low is None or high is None or high - low <= MOST_FREQUENCY_CHANGE * high:
        return ""
    return f"frequency changed: {low:.0f} to {high:.0f} MHz, allowed {MOST_FREQUENCY_CHANGE:.0%}"


def _swapped(latency: Latency, conditions: Conditions) -> str:
    if conditions.swapped_pages:
        return f"memory swapped: {conditions.swapped_pages} pages went to or came from the swap space"
    faults = conditions.major_faults or 0
    return f"memory swapped: {faults} pages came from disk" if faults > MOST_FAULTS * latency.runs else ""
