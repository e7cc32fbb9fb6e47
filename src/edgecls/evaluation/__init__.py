"""Whether artifacts are right: answers, accuracy, flips and parity, without any framework."""

from __future__ import annotations

from edgecls.evaluation.cluster import Pool, dask_pool
from edgecls.evaluation.fit import Trial, fit_preprocess, try_resizing
from edgecls.evaluation.image_spec_of import image_spec_of

__all__ = ["Pool", "Trial", "dask_pool", "fit_preprocess", "image_spec_of", "try_resizing"]
