"""Measurement: what was measured of one artifact."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgecls.records.accuracy import Accuracy, Flips
from edgecls.records.amounts import Bytes, Milliseconds
from edgecls.records.engine import Engine
from edgecls.records.latency import Latency, LatencyRatio, Sustained, ThreadsLatency, Throughput
from edgecls.records.multilabel import MultiLabelAccuracy
from edgecls.records.profile import Profile
from edgecls.records.record import Record

Status = Literal["ok", "crashed", "timeout", "unsupported", "failed"]


class Measurement(Record):
    """One artifact, measured in one process of its own.

    Attributes:
        accuracy: on images with one label each; multilabel: on images with multi-hot labels.
        latency: with `threads` threads; `threads_latency` has further numbers of threads.
        load_ms, first_inference_ms: apart from `latency`, as an application's start sees them.
        profile_note: why there is no profile although one was asked for.
        not_measured: further figure that was asked for (`2 threads`, `batches of 8`, `a sustained run`) -> why there is none.
        latency_needs: the system on which its latency can be measured, where it is not this one.
        stand_in_flips: how its engine's winners differ from those of the reference that stands in for the engine on other systems, on the
            same images; None where only one of the two ran.
        exact_flips: how its winners differ from those it has where the engine's sums of int8 products are not clipped at 16 bits, on the
            same images; None where this processor clips none of its sums.
    """

    artifact: str
    path: str = ""
    target: str
    scheme: str
    status: Status = "ok"
    reason: str = ""
    size_bytes: Bytes = 0
    compressed_bytes: Bytes = 0
    accuracy: Accuracy | None = None
    multilabel: MultiLabelAccuracy | None = None
    flips: Flips | None = None
    latency: Latency | None = None
    latency_ratio: LatencyRatio | None = None
    load_ms: Milliseconds | None = None
    first_inference_ms: Milliseconds | None = None
    peak_memory_bytes: Bytes | None = None
    threads: int = 1
    threads_latency: list[ThreadsLatency] = Field(default_factory=list)
    throughput: list[Throughput] = Field(default_factory=list)
    sustained: Sustained | None = None
    engine: Engine | None = None
    profile: Profile | None = None
    profile_note: str = ""
    not_measured: dict[str, str] = Field(default_factory=dict)
    latency_needs: str = ""
    stand_in_flips: Flips | None = None
    exact_flips: Flips | None = None
