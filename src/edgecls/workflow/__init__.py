"""The data flow: composes the rooms. Nothing here computes or prints."""

from __future__ import annotations

from edgecls.workflow.bench import BenchRequest, bench
from edgecls.workflow.convert import ConvertOptions, Progress, convert

__all__ = ["BenchRequest", "ConvertOptions", "Progress", "bench", "convert"]
