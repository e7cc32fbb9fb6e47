"""Measuring artifacts: latency, memory and accuracy, each in worker processes, without any framework."""

from __future__ import annotations

from edgecls.evaluation.bench import bench_artifacts
from edgecls.evaluation.cluster import Pool, dask_pool
from edgecls.evaluation.distant import require_ready
from edgecls.evaluation.fit import fit_preprocess
from edgecls.evaluation.image_spec_of import image_spec_of
from edgecls.evaluation.jobs import BenchJob, BenchOptions, Failure, ImageSource

__all__ = [
    "BenchJob",
    "BenchOptions",
    "Failure",
    "ImageSource",
    "Pool",
    "bench_artifacts",
    "dask_pool",
    "fit_preprocess",
    "image_spec_of",
    "require_ready",
]
