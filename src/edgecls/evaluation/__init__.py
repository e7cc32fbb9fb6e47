"""Whether artifacts are right: answers, accuracy, flips and parity, without any framework."""

from __future__ import annotations

from edgecls.evaluation.cluster import Pool, dask_pool
from edgecls.evaluation.fit import fit_preprocess
from edgecls.evaluation.image_spec_of import image_spec_of

__all__ = ["Pool", "dask_pool", "fit_preprocess", "image_spec_of"]
