"""Metrics: what a service counts and measures, for Prometheus."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one service.

    Args:
        gauges: asked at each scrape for what is now: name -> (help, value).
        processes: asked likewise for the process identifiers by role.
    """

    def __init__(self, gauges: Callable[[], dict[str, tuple[str, float]]], processes: Callable[[], dict[str, list[int]]]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("edgecls_requests", "Requests answered.", ["endpoint", "status"], registry=self._registry)
        self.errors = Counter("edgecls_errors", "Requests answered with 400 or more.", ["endpoint"], registry=self._registry)
        self.seconds = Histogram(
            "edgecls_request_seconds",
            "From a request's head to its answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.queue_seconds = Histogram(
            "edgecls_queue_seconds", "What a request waited for a worker.", buckets=_SECONDS, registry=self._registry
        )
        self.batch_images = Histogram(
            "edgecls_batch_requests",
            "Requests that went to a worker together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self._registry,
        )
        self.losses = Counter("edgecls_worker_losses", "Worker processes that ended by themselves.", registry=self._registry)
        self.reloads = Counter("edgecls_reloads", "Changes of what is served.", ["outcome"], registry=self._registry)
        self._found: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._registry.register(_Now(gauges, processes))

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        counted, timed = self._found.get((endpoint, status)) or self._find(endpoint, status)
        counted.inc()
        timed.observe(seconds)
        if status >= 400:
            self.errors.labels(endpoint).inc()

    def _find(self, endpoint: str, status: int) -> tuple[Counter, Histogram]:
        """The counter and the histogram of an endpoint and a status; looking them up anew each time costs more than counting."""
        found = self.requests.labels(endpoint, str(status)), self.seconds.labels(endpoint)
        self._found[endpoint, status] = found
        return found


class _Now(Collector):
    """What is looked up at each scrape."""

    def __init__(self, gauges: Callable[[], dict[str, tuple[str, float]]], processes: Callable[[], dict[str, list[int]]]) -> None:
        self._gauges, self._processes = gauges, processes

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, (words, value) in self._gauges().items():
            yield GaugeMetricFamily(name, words, value=value)
        memory = GaugeMetricFamily("edgecls_memory_bytes", "Resident memory of the processes of a role.", labels=["role"])
        for role, pids in self._processes().items():
            memory.add_metric([role], float(sum(map(resident_bytes, pids))))
        yield memory


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell (only Linux does) or the process is gone."""
    if sys.platform != "linux":
        return 0
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
