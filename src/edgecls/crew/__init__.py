"""The worker processes of one run, here or on another machine, and what they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.system.lazy import export_lazily

if TYPE_CHECKING:
    from edgecls.crew.distant import require_ready as require_ready
    from edgecls.crew.jobs import BenchJob as BenchJob
    from edgecls.crew.jobs import BenchOptions as BenchOptions
    from edgecls.crew.jobs import Failure as Failure
    from edgecls.crew.jobs import ImageSource as ImageSource

_EXPORTS = {
    "distant": ("require_ready",),
    "jobs": ("BenchJob", "BenchOptions", "Failure", "ImageSource"),
}
__all__ = export_lazily(__name__, _EXPORTS)  # noqa: PLE0605 - a list of strings
