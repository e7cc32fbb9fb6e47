"""Measuring artifacts: latency, memory and accuracy, each in worker processes, without any framework."""

from __future__ import annotations

from edgecls.evaluation.bench import bench_artifacts
from edgecls.evaluation.fit import fit_preprocess
from edgecls.evaluation.jobs import BenchJob, BenchOptions, Event, ImageSource

__all__ = ["BenchJob", "BenchOptions", "Event", "ImageSource", "bench_artifacts", "fit_preprocess"]
