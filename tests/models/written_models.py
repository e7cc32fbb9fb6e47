"""Small models of both generations, ways to damage what was saved, and a way to run a frozen graph."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np

from edgecls.records.frozen_graph import FrozenGraph


def small_classifier(
    framework: ModuleType, *before: Any, shape: tuple[int | None, ...] = (8, 8, 3), activation: str | None = "softmax"
) -> Any:
    """A Functional model: the given layers, a convolution, pooling, and three classes."""
    inputs = framework.Input(shape)
    value = inputs
    for layer in before:
        value = layer(value)
    value = framework.layers.Conv2D(4, 3, activation="relu")(value)
    value = framework.layers.GlobalAveragePooling2D()(value)
    return framework.Model(inputs, framework.layers.Dense(3, activation=activation)(value))


def run_frozen(graph: FrozenGraph, inputs: np.ndarray, tf: Any) -> np.ndarray:
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.path.read_bytes())
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    function = imported.prune(graph.input, graph.output)
    return np.concatenate([function(tf.constant(item[None])).numpy() for item in inputs])


def edit_h5(path: Path, change) -> None:
    """Change the architecture in a file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(str(file.attrs["model_config"]))
        change(config)
        file.attrs["model_config"] = json.dumps(config)


def edit_zip(path: Path, change) -> None:
    """Change the architecture in an archive."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def convolution(config: dict) -> dict:
    """The first convolution of an architecture."""
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")
