"""The worker processes of one run, here or on another machine, and what they are asked."""

from __future__ import annotations

from edgecls.crew.distant import require_ready
from edgecls.crew.jobs import BenchJob, BenchOptions, Failure, ImageSource

__all__ = ["BenchJob", "BenchOptions", "Failure", "ImageSource", "require_ready"]
