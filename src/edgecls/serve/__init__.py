"""A web service on artifacts: a page, an API and the protocols of TensorFlow Serving and the Open Inference Protocol."""

from __future__ import annotations

from edgecls.serve.limits import Limits
from edgecls.serve.offer import Offer, Served

__all__ = ["Limits", "Offer", "Served"]
