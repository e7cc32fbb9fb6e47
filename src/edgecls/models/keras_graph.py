"""The graph of a Keras model of either generation: its calls in an order in which each finds its inputs, nested models opened."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edgecls.errors import UnsupportedModelError
from edgecls.system.extras import require


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation that is none.

    Attributes:
        layer: the source model's layer or operation.
        args, kwargs: of the call, tensors already mapped; without `training`.
        path: names of the nested models and the layer, divided by slashes.
        training: what the call, or the call of a model around it, passes as `training`.
        generation: of Keras, 2 or 3.
    """

    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    path: str
    training: bool | None
    generation: int

    @property
    def kind(self) -> str:
        """Class of the layer."""
        return type(self.layer).__name__

    @property
    def is_operation(self) -> bool:
        """Whether this is arithmetic written into the model: `keras.ops`, or a TensorFlow function in Keras 2."""
        if self.generation == 2:
            return self.kind in ("TFOpLambda", "SlicingOpLambda")
        return not hasattr(self.layer, "weights")

    @property
    def takes_training(self) -> bool:
        """Whether it may be told the mode."""
        return "training" in inspect.signature(self.layer.call).parameters


def replay(model: Any, inputs: list[Any], call: Callable[[Call], Any], path: str = "", training: bool | None = None) -> list[Any]:
    """Go through a model once more with other tensors.

    Args:
        model: built Functional or Sequential model of either generation.
        inputs: what takes the place of its inputs.
        call: makes the outputs of one call.

    Returns:
        what takes the place of its outputs.

    Raises:
        UnsupportedModelError: a model, or one nested in it, whose layers were connected in Python code.
    """
    nest = require("tensorflow").nest
    graph = _graph(model, path)
    tensors = {id(tensor): value for tensor, value in zip(nest.flatten(graph.inputs), inputs, strict=True)}

    def mapped(structure: Any) -> Any:
        if isinstance(structure, dict):
            return {key: mapped(value) for key, value in structure.items()}
        if isinstance(structure, (list, tuple)):
            return type(structure)(mapped(value) for value in structure)
        return tensors.get(id(structure), structure)

    for layer, args, kwargs, outputs in _nodes(graph):
        arguments = {name: value for name, value in mapped(kwargs).items() if name not in ("training", "mask")}
        mode = kwargs.get("training") if kwargs.get("training") is not None else training
        one = Call(layer, mapped(tuple(args)), arguments, f"{path}{layer.name}", mode, generation_of(model))
        opened = replay(layer, nest.flatten(one.args), call, f"{one.path}/", mode) if _is_model(layer) else None
        made = nest.flatten(call(one)) if opened is None else opened
        tensors.update(zip((id(tensor) for tensor in nest.flatten(outputs)), made, strict=True))
    return [tensors[id(tensor)] for tensor in nest.flatten(graph.outputs)]


def generation_of(model: Any) -> int:
    """Generation of Keras that a model is of, 2 or 3."""
    return 2 if any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__) else 3


def _is_model(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "get_layer")


def _graph(model: Any, path: str) -> Any:
    graph = getattr(model, "_functional", None) or model  # what a Sequential of Keras 3 holds inside
    if not getattr(graph, "_nodes_by_depth", None):
        raise UnsupportedModelError(
            "a Functional or Sequential model",
            f"{type(model).__name__} {path.strip('/') or model.name!r}, whose layers are connected in Python code",
            "build the same layers as a Functional model and load the weights into it",
        )
    return graph


def _nodes(graph: Any) -> Iterator[tuple[Any, Any, dict[str, Any], Any]]:
    """Layer, arguments and output tensors of every call, inputs left out."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            if hasattr(node, "operation"):
                yield node.operation, node.arguments.args, node.arguments.kwargs, node.outputs
            else:
                yield node.layer, node.call_args, node.call_kwargs, node.outputs
