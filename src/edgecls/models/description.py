"""What is in a model before it is converted: its layers and their weights, in the words that artifacts are described in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.formats import FileDescription, TensorInfo
from edgecls.formats.files import members
from edgecls.formats.weights import Weight, elements_by_dtype, layer_of, sparsity_of
from edgecls.models.loaded_model import LoadedModel
from edgecls.records.artifact import Actual, Source
from edgecls.system.extras import require

Part = tuple[str, str, list[Weight]]  # name, operation, constants
_NO_COMPUTATION = {"Const", "Placeholder", "Identity", "IdentityN", "NoOp"}


def describe_model(loaded: LoadedModel, path: Path) -> FileDescription:
    """Describe a loaded model.

    Args:
        path: the file or folder it was loaded from.

    Returns:
        the layers of a Keras model, nested models opened; of a SavedModel the operations of its graph that carry constants.
    """
    nodes = [node for node in loaded._graph.node if node.op not in _NO_COMPUTATION]
    parts = list(keras_parts(loaded.model.layers) if _is_keras(loaded) else _graph_parts(loaded._graph))
    weights = [weight for _, _, found in parts for weight in found]
    operations = [kind for _, kind, _ in parts] if _is_keras(loaded) else [node.op for node in nodes]
    return FileDescription(
        format=_format(loaded.source),
        inputs=[TensorInfo(name="image", shape=[None, *loaded.image_spec.input_shape], dtype="float32")],
        outputs=[TensorInfo(name=name, shape=[None, length], dtype="float32") for name, length in _outputs(loaded)],
        actual=Actual(
            weight_dtypes=elements_by_dtype(weights),
            activation_dtypes=dict(Counter(_dtype(node) for node in nodes if node.attr["T"].type)),
            operations=dict(Counter(operations)),
            sparsity=sparsity_of(weights),
            input_dtype="float32",
            output_dtype="float32",
        ),
        layers=[layer_of(name, kind, found) for name, kind, found in parts if found],
        metadata=_metadata(loaded),
        record=None,
        size_bytes=sum(item.stat().st_size for item in members(path)),
    )


def _outputs(loaded: LoadedModel) -> list[tuple[str, int]]:
    return [(head.output, head.outputs) for head in loaded.heads] or [("scores", loaded.outputs)]


def _is_keras(loaded: LoadedModel) -> bool:
    return hasattr(loaded.model, "layers")


def _format(source: Source) -> str:
    return f"{source.format}, written by {source.keras_version}" if source.keras_version else source.format


def _metadata(loaded: LoadedModel) -> dict[str, str]:
    repairs = [f"{repair.layer}: {repair.field} {repair.action}" for repair in loaded.repairs]
    entries = {
        "sha256": loaded.source.sha256,
        "scores": loaded.output_kind,
        "preprocessing": f"{loaded.image_spec.note} ({loaded.image_spec.provenance})",
        "pictures": loaded.image_spec.resizing_words,
        "repairs": "; ".join(repairs),
        "training": str(loaded.training_refusal or ""),
        "notes": " ".join(loaded.notes),
    }
    return {key: text for key, text in entries.items() if text}


def keras_parts(layers: list[Any], prefix: str = "") -> Iterator[Part]:
    """Every layer of a Keras model with its weights, nested models opened."""
    for layer in layers:
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):  # a custom layer may have some of its own
            yield from keras_parts(layer.layers, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", type(layer).__name__, [_weight(variable.numpy()) for variable in layer.weights]


def _graph_parts(graph: Any) -> Iterator[Part]:
    """Every operation with the constants it computes with; integers are shapes and axes."""
    tf = require("tensorflow")
    shape_types = {tf.int32.as_datatype_enum, tf.int64.as_datatype_enum}
    sources = {node.name: node for node in graph.node}
    counted: set[str] = set()
    for node in graph.node:
        if node.op in _NO_COMPUTATION:
            continue
        constants = []
        for reference in node.input:
            source = sources[reference.lstrip("^").partition(":")[0]]
            while source.op == "Identity":
                source = sources[source.input[0].partition(":")[0]]
            if source.op == "Const" and source.name not in counted and source.attr["dtype"].type not in shape_types:
                counted.add(source.name)
                constants.append(_weight(tf.make_ndarray(source.attr["value"].tensor)))
        yield node.name, node.op, constants


def _weight(values: np.ndarray) -> Weight:
    return Weight(values.dtype.name, values.size, values.nbytes, values.ndim, values, np.zeros(1, np.int64), 0)


def _dtype(node: Any) -> str:
    """Of an operation with one dtype: those of several, as a loop, hold a list there."""
    return require("tensorflow").as_dtype(node.attr["T"].type).name
