"""The data flow: composes the rooms. Nothing here computes or prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.system.lazy import export_lazily

if TYPE_CHECKING:
    from edgecls.workflow.bench import BenchRequest as BenchRequest
    from edgecls.workflow.bench import bench as bench
    from edgecls.workflow.compress import CompressOptions as CompressOptions
    from edgecls.workflow.compress import compress as compress
    from edgecls.workflow.convert import convert as convert
    from edgecls.workflow.convert_model import ConvertedArtifact as ConvertedArtifact
    from edgecls.workflow.convert_model import ConvertedModel as ConvertedModel
    from edgecls.workflow.convert_model import convert_model as convert_model
    from edgecls.workflow.convert_options import ConvertOptions as ConvertOptions
    from edgecls.workflow.convert_set import convert_all as convert_all
    from edgecls.workflow.preflight import preflight as preflight
    from edgecls.workflow.variants import read_variants as read_variants

_EXPORTS = {
    "bench": ("BenchRequest", "bench"),
    "compress": ("CompressOptions", "compress"),
    "convert": ("convert",),
    "convert_model": ("ConvertedArtifact", "ConvertedModel", "convert_model"),
    "convert_options": ("ConvertOptions",),
    "convert_set": ("convert_all",),
    "preflight": ("preflight",),
    "variants": ("read_variants",),
}
__all__ = export_lazily(__name__, _EXPORTS)  # noqa: PLE0605 - a list of strings
