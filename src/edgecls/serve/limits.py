"""Limits: how much one service takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much one service takes on. What is more is refused at once, with a status that says so.

    Attributes:
        upload_bytes: of one request's body; more is 413.
        pixels: width times height of one encoded image; more is 413.
        images: in one request; more is 413.
        waiting: requests that are read, wait or are computed; more is 503 with `Retry-After`.
        waiting_bytes: bodies of these together; more is 503 likewise.
        batch: questions that go to a worker together.
        batch_delay_ms: how long a question waits for others while all workers are busy, before it is sent behind their work.
        timeout_s: for a request's head to arrive (then its connection ends), for its body (then 408), and for an answer once it has (then
            503).
        connections: open at the same time; more is 503.
    """

    upload_bytes: int = 16 << 20
    pixels: int = 50_000_000
    images: int = 64
    waiting: int = 256
    waiting_bytes: int = 256 << 20
    batch: int = 8
    batch_delay_ms: float = 5.0
    timeout_s: float = 30.0
    connections: int = 1024
