"""Measurement and Report: what was measured of each artifact, in one environment, with the raw samples."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecls.image_spec import ImageSpec

RESULTS_SCHEMA_VERSION = 1
Status = Literal["ok", "crashed", "timeout", "unsupported", "failed"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Accuracy(_Model):
    """Shares 0..1 over `images` labelled images.

    `top1` counts a tie as a win of one of the tied classes: each of k tied winners counts 1/k. `top5` likewise is None where there
    are five classes or fewer.
    """

    images: int
    top1: float
    top5: float | None = None


class Flips(_Model):
    """How often the winner differs from the reference's on the same images."""

    reference: str
    images: int
    count: int


class Latency(_Model):
    """Time of one inference of batch 1, in milliseconds; preprocessing excluded. No sample is ever dropped."""

    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    min_ms: float
    max_ms: float
    samples_ms: list[float]
    warmup_runs: int


class Measurement(_Model):
    """One artifact, measured in one process of its own."""

    artifact: str
    path: str
    target: str
    scheme: str
    status: Status = "ok"
    reason: str = ""
    size_bytes: int = 0
    compressed_bytes: int = 0
    accuracy: Accuracy | None = None
    flips: Flips | None = None
    latency: Latency | None = None
    load_ms: float | None = None
    first_inference_ms: float | None = None
    peak_memory_bytes: int | None = None
    threads: int = 1


class Environment(_Model):
    """Where it was measured."""

    platform: str
    machine: str
    processor: str
    cores: int
    memory_bytes: int
    python: str
    packages: dict[str, str]


class DataUsed(_Model):
    """The images accuracy was measured on."""

    path: str
    images: int
    labelled: bool
    note: str = ""


class Report(_Model):
    """All measurements of one run: `results.json`."""

    schema_version: int = RESULTS_SCHEMA_VERSION
    created: datetime.datetime
    edgecls_version: str
    source_sha256: str | None = None
    image_spec: ImageSpec | None = None
    environment: Environment
    data: DataUsed | None = None
    notes: list[str] = Field(default_factory=list)
    measurements: list[Measurement]
