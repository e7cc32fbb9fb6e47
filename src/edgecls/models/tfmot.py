"""Models of TensorFlow's Model Optimization toolkit (tfmot): read in its own scopes, and freed of its wrappers by its own calls.

What a wrapper adds for training is of no use afterwards: masks of pruning, centroids of clustering. A model trained for int8 keeps its
wrappers, which round; the rounding is taken out of its graph, see `trained_ranges`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from edgecls.models.computation import TrainingRefusal
from edgecls.models.config import objects
from edgecls.records.artifact import Repair
from edgecls.system.extras import require

PACKAGE = "tensorflow_model_optimization"
_ROUNDING = r"Quantize(AwareActivation|Layer|Wrapper(V2)?)"
_WRAPPERS = rf"PruneLowMagnitude|ClusterWeights|QuantizeAnnotate|{_ROUNDING}"
_PARTS = r"ConstantSparsity|PolynomialDecay|NoOpActivation|OutputOnlyConfig|\w+QuantizeConfig|\w+Quantizer"
CLASSES = re.compile(rf"{_WRAPPERS}|{_PARTS}")
_FIELDS = ("pruning_schedule", "quantize_config", "quantizer")  # of wrappers, which resolve them among all names of their modules
_STRIPPERS = {"PruneLowMagnitude": ("sparsity", "strip_pruning"), "ClusterWeights": ("clustering", "strip_clustering")}
QAT_REFUSAL = TrainingRefusal(
    "one trained for int8 by tensorflow-model-optimization, whose layers round", "give the float model that was made from"
)


def is_wrapped(config: Any) -> bool:
    """Whether an architecture holds wrappers of tfmot."""
    return any(re.fullmatch(_WRAPPERS, _class_name(item)) for _, item in objects(config))


def has_rounding(config: Any) -> bool:
    """Whether an architecture holds wrappers that round."""
    return any(re.fullmatch(_ROUNDING, _class_name(item)) for _, item in objects(config))


def strange_part(item: dict[str, Any]) -> str | None:
    """The class that a wrapper names for a part of it, where that is none of tfmot's."""
    inner = item.get("config")
    if not re.fullmatch(_WRAPPERS, _class_name(item)) or not isinstance(inner, dict):
        return None
    parts = [inner[field] for field in _FIELDS if inner.get(field) is not None]
    return next((repr(part)[:80] for part in parts if not CLASSES.fullmatch(_class_name(part))), None)


@contextlib.contextmanager
def scopes() -> Iterator[None]:
    """Let tf_keras find tfmot's classes."""
    tfmot = require(PACKAGE)
    with tfmot.sparsity.keras.prune_scope(), tfmot.clustering.keras.cluster_scope(), tfmot.quantization.keras.quantize_scope():
        yield


def strip(model: Any) -> tuple[Any, list[Repair]]:
    """The model without wrappers of pruning and clustering, and what was taken off."""
    repairs = []
    for wrapper, (room, name) in _STRIPPERS.items():
        wrapped = [layer.name for layer in model._flatten_layers() if type(layer).__name__ == wrapper]
        if wrapped:
            model = getattr(getattr(require(PACKAGE), room).keras, name)(model)
            repairs += [
                Repair(layer=layer, field="class_name", action=f"{wrapper} taken off by tfmot's {name}") for layer in wrapped
            ]
    return model, repairs


def rounds(model: Any) -> bool:
    """Whether layers of a model round, as training for int8 wants them."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model._flatten_layers())


def _class_name(item: Any) -> str:
    name = item.get("class_name") if isinstance(item, dict) else None
    return name.rpartition(">")[2] if isinstance(name, str) else ""
