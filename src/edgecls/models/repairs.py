"""Repairs: small changes to an architecture that make an old file load, or make it a classifier for one image at a time.

Each keeps what the model computes at inference, and each is logged as a Repair, field by field.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from edgecls.models.config import layers, objects
from edgecls.records.artifact import Repair

# Classes of well-known packages that compute, at inference, what a Keras class computes.
_KNOWN_CLASSES = {"FixedDropout": "Dropout"}
# Layers that compute something else in training mode than random numbers: a call in that mode is meant.
_BATCH_STATISTICS = re.compile(r"(Sync)?Batch(Re)?Norm\w*|SpectralNormalization")
_OTHER_PRECISIONS = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"}
_TRAINING_ONLY = re.compile(r".*_(initializer|regularizer|constraint)")
_TENSORS = ("__tensor__", "__numpy__")
_SHAPE_FIELDS = ("batch_input_shape", "batch_shape", "build_input_shape")
# Values with which a field a newer or older Keras wrote says no more than its absence does.
_NEUTRAL: tuple[Any, ...] = (None, False, "auto", [], {})
_NEUTRAL_FIELDS: dict[str, tuple[Any, ...]] = {"groups": (1,), "dilation_rate": (1, [1, 1]), "data_format": ("channels_last",)}


def repair_architecture(config: dict[str, Any], generation: int) -> tuple[dict[str, Any], list[Repair]]:
    """What is changed in every file: one image at a time, in float32, in inference mode."""
    config = copy.deepcopy(config)
    repairs: list[Repair] = []
    for layer, item in layers(config):
        repairs += _unpack_tensors(layer, item)
        repairs += _free_batch(layer, item)
        repairs += _forget_state(layer, item)
        repairs += _unroll(layer, item)
        repairs += _use_float32(layer, item)
        repairs += _replace_class(layer, item)
        repairs += _stop_training_calls(layer, item)
        repairs += _resize_instead_of_crop(layer, item) if generation == 2 else _read_shear(layer, item)
    return config, repairs


def name_operations(config: dict[str, Any], module_of: Callable[[str], str | None]) -> list[Repair]:
    """Say where the operations of `keras.ops` in an `.h5` of Keras 3 come from, which it does not write: it would look for layers.

    Args:
        config: changed in place.
        module_of: the module of an operation's class, None when there is no such operation.
    """
    repairs = []
    for layer, item in layers(config):
        if "module" in item or "trainable" in item["config"]:  # every layer has `trainable`, an operation has not
            continue
        module = module_of(item["class_name"])
        if module is not None:
            item["module"], item["registered_name"] = module, item["class_name"]
            repairs.append(Repair(layer=layer, field="module", action=f"named: {item['class_name']} of {module}, no layer"))
    return repairs


def name_functions(config: dict[str, Any]) -> list[Repair]:
    """Functions as their names alone, as the `.h5` of Keras 2 always had them: later ones write descriptions that it cannot read there.

    Args:
        config: changed in place.
    """
    repairs = []
    for layer, item in layers(config):
        for field, value in item["config"].items():
            if isinstance(value, dict) and value.get("class_name") == "function" and isinstance(value.get("config"), str):
                item["config"][field] = value["config"]
                repairs.append(Repair(layer=layer, field=field, action="a function, read by its name"))
    return repairs


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


def _unpack_tensors(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Settings that are tensors, as EfficientNet's scale: as plain numbers, which every layer takes."""
    for field, value in item["config"].items():
        packed = value.get("config") if isinstance(value, dict) and value.get("class_name") in _TENSORS else None
        if isinstance(packed, dict) and "value" in packed:
            item["config"][field] = packed["value"]
            yield Repair(layer=layer, field=field, action="a tensor, read as plain numbers")


def _free_batch(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    for fields in (item, item["config"], item.get("build_config")):
        for name in (*_SHAPE_FIELDS, "input_shape") if fields is item.get("build_config") else _SHAPE_FIELDS:
            shape = fields.get(name) if isinstance(fields, dict) else None
            if isinstance(shape, list) and len(shape) > 1 and isinstance(shape[0], int):
                yield Repair(layer=layer, field=name, action=f"batch size {shape[0]} freed")
                shape[0] = None


def _forget_state(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Recurrent layers that go on from the image before: each image is one of its own."""
    if item["config"].get("stateful") is True:
        item["config"]["stateful"] = False
        yield Repair(layer=layer, field="stateful", action="every image begins without a state from the one before")


def _unroll(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Recurrent layers as one operation after the other: neither integers nor Core ML go into a loop."""
    if item["config"].get("unroll") is False and not item["class_name"].startswith("ConvLSTM"):  # which cannot
        item["config"]["unroll"] = True
        yield Repair(layer=layer, field="unroll", action="its steps computed one after the other, without a loop")


def _use_float32(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    dtype = item["config"].get("dtype")
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) and isinstance(dtype.get("config"), dict) else dtype
    if isinstance(name, str) and name in _OTHER_PRECISIONS:
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


def _resize_instead_of_crop(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Keras 2's RandomCrop resizes at inference, but decides so inside the graph, with its random numbers beside."""
    if item["class_name"] == "RandomCrop":
        for name in ("seed", "rng_type"):
            item["config"].pop(name, None)
        item["class_name"] = "Resizing"
        item["config"] |= {"interpolation": "bilinear", "crop_to_aspect_ratio": True}
        yield Repair(layer=layer, field="class_name", action="RandomCrop read as the Resizing that it is at inference")


def _read_shear(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Keras 3's RandomShear writes the number it was given as a range from minus to plus that, which it refuses to read."""
    for field in ("x_factor", "y_factor") if item["class_name"] == "RandomShear" else ():
        factor = item["config"].get(field)
        if isinstance(factor, list) and [type(end) for end in factor] == [float, float] and factor[0] == -factor[1] != 0:
            item["config"][field] = factor[1]
            yield Repair(layer=layer, field=field, action=f"{factor} read as the {factor[1]} that makes it")


def _stop_training_calls(layer: str, item: dict[str, Any]) -> Iterator[Repair]:
    """Augmentation and dropout that the model calls with training=True; the argument stands anywhere in its nodes."""
    calls = [call for _, call in objects(item.get("inbound_nodes")) if call.get("training") is True]
    if not calls or any(_BATCH_STATISTICS.fullmatch(inner["class_name"]) for _, inner in layers(item)):
        return
    for call in calls:
        call["training"] = False
        yield Repair(layer=layer, field="training", action="was called with training=True: inert at inference")


def _is_neutral(field: str, value: Any) -> bool:
    """Whether a setting says nothing. By type too: 0.0 is no False, and 1.0 or True no 1."""
    neutral = (*_NEUTRAL, *_NEUTRAL_FIELDS.get(field, ()))
    return any(type(value) is type(other) and value == other for other in neutral)


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
