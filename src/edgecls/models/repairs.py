"""Repairs: small changes to an architecture that make an old file load, or make it a classifier for one image at a time.

Each keeps what the model computes at inference, and each is logged as a Repair, field by field.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from edgecls.artifact import Repair
from edgecls.models.config import layers, objects

# Classes of well-known packages that compute, at inference, what a Keras class computes.
_KNOWN_CLASSES = {"FixedDropout": "Dropout"}
# Layers that compute something else in training mode than random numbers: a call in that mode is meant.
_BATCH_STATISTICS = re.compile(r"(Sync)?Batch(Re)?Norm\w*|SpectralNormalization")
_LOW_PRECISION = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}
_TRAINING_ONLY = re.compile(r".*_(initializer|regularizer|constraint)")
_SHAPE_FIELDS = ("batch_input_shape", "batch_shape", "build_input_shape")
# Values with which a field a newer or older Keras wrote says no more than its absence does.
_NEUTRAL: tuple[Any, ...] = (None, False, "auto", [], {})
_NEUTRAL_FIELDS: dict[str, tuple[Any, ...]] = {"groups": (1,), "dilation_rate": (1, [1, 1]), "data_format": ("channels_last",)}


def repair_architecture(config: dict[str, Any]) -> tuple[dict[str, Any], list[Repair]]:
    """What is changed in every file: one image at a time, in float32, in inference mode."""
    config = copy.deepcopy(config)
    repairs: list[Repair] = []
    for layer, item in layers(config):
        repairs += _free_batch(layer, item)
        repairs += _use_float32(layer, item)
        repairs += _replace_class(layer, item)
        repairs += _stop_training_calls(layer, item)
    return config, repairs


def repair_fields(
    config: dict[str, Any], find_class: Callable[[str], type | None], is_known: Callable[[str, Any], bool]
) -> tuple[dict[str, Any], list[Repair]]:
    """What is changed in a file that did not load: fields the installed Keras does not know and that say nothing.

    Args:
        find_class: the installed layer class of a name, None when there is none.
        is_known: whether the installed Keras knows the value of an initializer, regularizer or constraint field.
    """
    config = copy.deepcopy(config)
    repairs: list[Repair] = []
    for layer, item in layers(config):
        cls, fields = find_class(item["class_name"]), item["config"]
        for field in [name for name, value in fields.items() if _TRAINING_ONLY.fullmatch(name) and not is_known(name, value)]:
            del fields[field]
            repairs.append(Repair(layer=layer, field=field, action="dropped: unknown here, and used in training alone"))
        accepted = _accepted_fields(cls) if cls is not None else None
        if accepted is None:
            continue
        for field in [name for name, value in fields.items() if name not in accepted and _is_neutral(name, value)]:
            value = fields.pop(field)
            repairs.append(Repair(layer=layer, field=field, action=f"dropped {value!r}: unknown to the installed Keras"))
    return config, repairs


def _free_batch(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    for fields in (item, item["config"], item.get("build_config")):
        for name in (*_SHAPE_FIELDS, "input_shape") if fields is item.get("build_config") else _SHAPE_FIELDS:
            shape = fields.get(name) if isinstance(fields, dict) else None
            if isinstance(shape, list) and len(shape) > 1 and isinstance(shape[0], int):
                yield Repair(layer=layer, field=name, action=f"batch size {shape[0]} freed")
                shape[0] = None


def _use_float32(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    dtype = item["config"].get("dtype")
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) and isinstance(dtype.get("config"), dict) else dtype
    if isinstance(name, str) and name in _LOW_PRECISION:
        item["config"]["dtype"] = "float32"
        yield Repair(layer=layer, field="dtype", action=f"{name} computed as float32")


def _replace_class(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    name = item["class_name"]
    known = _KNOWN_CLASSES.get(name.rpartition(">")[2])
    if known is not None:
        item["class_name"] = known
        if "module" in item:
            item["module"], item["registered_name"] = "keras.layers", None
        yield Repair(layer=layer, field="class_name", action=f"{name} read as {known}")


def _stop_training_calls(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Augmentation and dropout that the model calls with training=True; the argument stands anywhere in its nodes."""
    calls = [call for _, call in objects(item.get("inbound_nodes")) if call.get("training") is True]
    if not calls or any(_BATCH_STATISTICS.fullmatch(inner["class_name"]) for _, inner in layers(item)):
        return
    for call in calls:
        call["training"] = False
        yield Repair(layer=layer, field="training", action="was called with training=True: inert at inference")


def _is_neutral(field: str, value: Any) -> bool:
    return (
        any(value is neutral or value == neutral for neutral in (*_NEUTRAL, *_NEUTRAL_FIELDS.get(field, ())))
        and value is not True
    )


def _accepted_fields(cls: type) -> set[str] | None:
    """Names a layer's config may hold, from the signatures along its bases; None when they cannot be told."""
    accepted = {
        "batch_input_shape",
        "batch_shape",
        "input_shape",
        "input_dim",
        "name",
        "trainable",
        "dtype",
        "weights",
        "autocast",
    }
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        try:
            accepted |= inspect.signature(init).parameters.keys()
        except (TypeError, ValueError):
            return None
    return accepted
