"""The data flow: composes the rooms. Nothing here computes or prints."""

from __future__ import annotations

from edgecls.workflow.bench import BenchRequest, bench
from edgecls.workflow.compress import CompressOptions, compress
from edgecls.workflow.convert import convert
from edgecls.workflow.convert_model import ConvertedArtifact, ConvertedModel, convert_model
from edgecls.workflow.convert_options import ConvertOptions
from edgecls.workflow.convert_set import convert_all
from edgecls.workflow.preflight import preflight
from edgecls.workflow.variants import read_variants

__all__ = [
    "BenchRequest",
    "CompressOptions",
    "ConvertOptions",
    "ConvertedArtifact",
    "ConvertedModel",
    "bench",
    "compress",
    "convert",
    "convert_all",
    "convert_model",
    "preflight",
    "read_variants",
]
