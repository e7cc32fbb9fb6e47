"""Latency: how long an artifact takes, and whether that may be compared with others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgecls.records.amounts import Milliseconds
from edgecls.records.interval import Interval
from edgecls.records.record import Record

Doubt = Literal["too_few_runs", "too_noisy", "machine_loaded", "frequency_changed", "memory_swapped", "emulated"]


class Histogram(Record):
    """Counts between neighbouring edges; `edges_ms` has one more."""

    edges_ms: list[Milliseconds]
    counts: list[int]


class Reason(Record):
    """Why a latency is not to be trusted, for machines and in words."""

    code: Doubt
    text: str


class Validity(Record):
    """Whether a latency may be compared with others; invalid for one of the reasons or more."""

    verdict: Literal["valid", "invalid"]
    reasons: list[Reason] = Field(default_factory=list)


class Conditions(Record):
    """What the machine did meanwhile. None where this platform does not tell.

    Attributes:
        others_cpu_share: processor time that others took, as a share of all cores, 0..1.
        load_average: of the last minute, as the measurement began.
        frequency_min_mhz, frequency_max_mhz: of the cores, over all turns.
        major_faults: pages this artifact's process had to fetch from disk while it was timed.
        swapped_pages: pages the system swapped in or out meanwhile.
    """

    others_cpu_share: float | None = None
    load_average: float | None = None
    frequency_min_mhz: float | None = None
    frequency_max_mhz: float | None = None
    major_faults: int | None = None
    swapped_pages: int | None = None


class Latency(Record):
    """Time of one inference of batch 1, in milliseconds; preprocessing excluded. No sample is ever dropped.

    Attributes:
        p50_interval: of the median, by bootstrap over blocks of consecutive samples.
        rounds_p50_ms: median of each turn, in order; artifacts take turns.
        samples_ms: in order, turn after turn.
    """

    runs: int
    p50_ms: Milliseconds
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    max_ms: Milliseconds
    samples_ms: list[Milliseconds] = Field(default_factory=list)
    warmup_runs: int = 0
    p50_interval: Interval | None = None
    rounds_p50_ms: list[Milliseconds] = Field(default_factory=list)
    histogram: Histogram | None = None
    validity: Validity | None = None
    conditions: Conditions | None = None


class ThreadsLatency(Record):
    """Latency with another number of threads."""

    threads: int
    latency: Latency


class LatencyRatio(Record):
    """Latency relative to the reference's, which took its turns in the same rounds.

    Attributes:
        reference: name of an artifact.
        ratio: geometric mean of the rounds' ratios of medians; above 1 is slower.
        interval: paired t interval of its logarithm, at 99 %.
        verdict: `no difference` where the interval holds 1.
    """

    reference: str
    ratio: float
    interval: Interval
    verdict: Literal["faster", "slower", "no difference"]


class Throughput(Record):
    """Images per second when `batch` images are handed over at once, preprocessing excluded.

    Attributes:
        engine_batch: how many of them the engine takes in one call: 1 where the file allows no more.
        batch_p50_ms: median time of one batch.
    """

    batch: int
    engine_batch: int
    threads: int
    images_per_second: float
    batch_p50_ms: Milliseconds
    batches: int


class Minute(Record):
    """One minute of a sustained run."""

    minute: int
    runs: int
    p50_ms: Milliseconds
    p90_ms: Milliseconds


class Sustained(Record):
    """One inference after another without a pause: shows whether the processor gets slower as it gets warm.

    Attributes:
        slowdown: p50 of the last minute over p50 of the first.
    """

    threads: int
    minutes: list[Minute]
    slowdown: float
