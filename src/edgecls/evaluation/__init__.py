"""Whether artifacts are right: answers, accuracy, flips and parity, without any framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecls.system.lazy import export_lazily

if TYPE_CHECKING:
    from edgecls.evaluation.cluster import Pool as Pool
    from edgecls.evaluation.cluster import dask_pool as dask_pool
    from edgecls.evaluation.fit import TriedOption as TriedOption
    from edgecls.evaluation.fit import fit_preprocess as fit_preprocess
    from edgecls.evaluation.fit import try_order as try_order
    from edgecls.evaluation.fit import try_resizing as try_resizing
    from edgecls.evaluation.image_spec_of import image_spec_of as image_spec_of

_EXPORTS = {
    "cluster": ("Pool", "dask_pool"),
    "fit": ("TriedOption", "fit_preprocess", "try_order", "try_resizing"),
    "image_spec_of": ("image_spec_of",),
}
__all__ = export_lazily(__name__, _EXPORTS)  # noqa: PLE0605 - a list of strings
