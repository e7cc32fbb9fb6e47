"""Layers models of TensorFlow.js: `model.json`, which names the architecture and lists the weights, and the shards of bytes beside it.

The architecture is that of Keras, in its own JSON. Source of the format: `weights_list_writer` in tensorflowjs/write_weights.py and
`decodeWeights` in tfjs-core/src/io/io_utils.ts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ModelFileError, UnsupportedModelError, reason_of

MODEL_NAME = "model.json"
_STORED = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "uint16": "<u2", "bool": "u1"}
_WHOLE = "copy or download the whole model again: model.json with all its .bin files"
_FROM_SOURCE = "give the Keras model or SavedModel that it was converted from"


def is_tfjs(config: dict[str, Any]) -> bool:
    """Whether a JSON file is a model of TensorFlow.js."""
    return "weightsManifest" in config


def read_architecture(config: dict[str, Any], path: Path) -> tuple[dict[str, Any], str | None]:
    """The Keras architecture in a model.json, and the version that it names.

    Raises:
        UnsupportedModelError: a graph model, which has operations and no layers.
        ModelFileError: no architecture in it.
    """
    topology = config.get("modelTopology")
    if config.get("format") == "graph-model" or (isinstance(topology, dict) and "node" in topology):
        raise UnsupportedModelError(
            "a layers model of TensorFlow.js", f"{path}, a graph model, whose layers were taken away", _FROM_SOURCE
        )
    topology = topology if isinstance(topology, dict) else {}
    inner = topology.get("model_config", topology)
    if not isinstance(inner, dict) or "class_name" not in inner or "config" not in inner:
        raise ModelFileError("a layers model of TensorFlow.js", f"{path}, which has no architecture", _FROM_SOURCE)
    version = topology.get("keras_version")
    return inner, version if isinstance(version, str) else None


def shard_paths(config: dict[str, Any], path: Path) -> list[Path]:
    """The files beside a model.json that hold its weights.

    Raises:
        ModelFileError: one of them is missing, or is said to be in another folder or on another machine.
    """
    shards = []
    for group in _groups(config, path):
        for name in group["paths"]:
            plain = name.removeprefix("./") if isinstance(name, str) else ""
            if not plain or Path(plain).name != plain or "\\" in plain or ":" in plain:
                raise ModelFileError(
                    "weights in files beside model.json",
                    f"{path}, which names {str(name)[:100]!r}",
                    f"put them beside it; {_WHOLE}",
                )
            if not os.path.isfile(path.parent / plain):  # noqa: PTH113 - False for a name that no file can have, too
                raise ModelFileError("all weights beside model.json", f"{path}, where {plain} is missing", _WHOLE)
            shards.append(path.parent / plain)
    return shards


def read_weights(config: dict[str, Any], path: Path) -> dict[str, np.ndarray]:
    """Every weight by name, as float32 or as what it is stored as; codes of quantized ones become the values they stand for.

    Raises:
        ModelFileError: weights are missing, too short or too long, of a kind that is not known, or several of one name.
    """
    weights: dict[str, np.ndarray] = {}
    shard_paths(config, path)
    for group in _groups(config, path):
        try:
            data = b"".join((path.parent / name.removeprefix("./")).read_bytes() for name in group["paths"])
        except OSError as error:
            raise ModelFileError("readable weights beside model.json", f"{path}: {reason_of(error)}", _WHOLE) from None
        offset = 0
        for entry in group["weights"]:
            name, values, offset = _read_entry(entry, data, offset, path)
            if name in weights:  # of which layer each is, nothing tells; TensorFlow.js refuses such a file too
                raise ModelFileError("weights of different names", f"{path}, where several are called {name}", _FROM_SOURCE)
            weights[name] = values
        if offset != len(data):
            raise _damaged(path, f"{len(data) - offset} bytes too many in {', '.join(group['paths'])}")
    return weights


def assign(model: Any, weights: dict[str, np.ndarray], path: Path) -> None:
    """Give a Keras 2 model the weights of the same names.

    Raises:
        ModelFileError: a variable without weights, or weights of another shape.
    """
    for variable in model.weights:
        name = variable.name.partition(":")[0]
        values = weights.get(name)
        if values is None:  # a layer that had weights before it was in a model, as one that was adapted, is not named in theirs
            values = weights.get(name.rpartition("/")[2])
        if values is None:
            raise ModelFileError("weights for every layer", f"{path}, which has none for {name}", _FROM_SOURCE)
        if values.shape != tuple(variable.shape):
            raise ModelFileError(
                f"weights of shape {tuple(variable.shape)} for {name}", f"{path} with {values.shape}", _FROM_SOURCE
            )
        variable.assign(values)


def _groups(config: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    groups = config.get("weightsManifest")
    if not isinstance(groups, list) or not all(
        isinstance(group, dict) and isinstance(group.get("paths"), list) and isinstance(group.get("weights"), list)
        for group in groups
    ):
        raise _damaged(path, "a weightsManifest of another form")
    return groups


def _read_entry(entry: Any, data: bytes, offset: int, path: Path) -> tuple[str, np.ndarray, int]:
    """One weight and where the next begins."""
    try:
        name, shape, dtype = str(entry["name"]), tuple(int(size) for size in entry["shape"]), entry["dtype"]
        rule = entry.get("quantization")
        stored = np.dtype(_STORED[rule["dtype"] if rule else dtype])
        count = int(np.prod(shape, dtype=np.int64))
        if count < 0 or min(shape, default=0) < 0:
            raise ValueError(f"{name} of shape {shape}")
        values = np.frombuffer(data, stored, count, offset).reshape(shape)
        if rule and rule["dtype"] != "float16":
            with np.errstate(over="raise"):
                values = values * np.float32(rule["scale"]) + np.float32(rule["min"])
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    return name, values.astype(np.float32) if dtype == "float32" else values, offset + count * stored.itemsize


def _damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError("a whole model of TensorFlow.js", f"{path}, which is damaged: {' '.join(what.split())[:200]}", _WHOLE)
