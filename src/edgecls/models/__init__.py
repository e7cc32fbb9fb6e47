"""Any Keras classifier file to a LoadedModel. Nothing of a file is deserialized before the safety scan has passed it."""

from __future__ import annotations

from edgecls.models.description import describe_model
from edgecls.models.loaded_model import LoadedModel
from edgecls.models.loading import load_model, was_trained_for_int8
from edgecls.models.rebuild import Rebuilt, rebuild

__all__ = ["LoadedModel", "Rebuilt", "describe_model", "load_model", "rebuild", "was_trained_for_int8"]
