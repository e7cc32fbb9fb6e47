"""The graph of a flat tf_keras model: its calls in order, and who makes and who takes each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgecls.system.extras import require

WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "Dense")
# Layers that are the identity at inference.
INERT = ("Dropout", "SpatialDropout", "AlphaDropout", "Gaussian", "Random", "ActivityRegularization", "StochasticDepth")
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer.

    Attributes:
        name: of the layer; with `:1`, `:2` … behind it from the second call of a shared layer on.
        calls: how often the model calls the layer.
        inputs, outputs: symbolic tensors.
    """

    name: str
    layer: Any
    calls: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Any]
    outputs: list[Any]

    @property
    def kind(self) -> str:
        """Class of the layer; of arithmetic, TensorFlow's name of the function, as `math.add`."""
        kind = type(self.layer).__name__
        return self.layer.symbol or kind if kind in _OPERATIONS else kind

    @property
    def is_inert(self) -> bool:
        """Whether it returns its input at inference."""
        return type(self.layer).__name__.startswith(INERT)

    @property
    def activation(self) -> str | None:
        """Name of the function, where the layer is an Activation."""
        return self.layer.activation.__name__ if type(self.layer).__name__ == "Activation" else None

    def called(self, values: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of the call with other tensors: `values` maps the id of each symbolic tensor."""

        def swap(value: Any) -> Any:
            return values.get(id(value), value)

        map_structure = require("tensorflow").nest.map_structure
        return map_structure(swap, self.args), map_structure(swap, self.kwargs)


class FlatGraph:
    """All calls of a model."""

    def __init__(self, model: Any) -> None:
        nest = require("tensorflow").nest
        self.inputs, self.outputs = list(model.inputs), list(model.outputs)
        found = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
        calls: dict[int, list[Any]] = {}
        for node in found:
            if not node.is_input:
                calls.setdefault(id(node.layer), []).append(node)
        self.nodes = []
        for node in found:
            if node.is_input:
                continue
            own = sorted(calls[id(node.layer)], key=node.layer.inbound_nodes.index)
            number = own.index(node)
            name = node.layer.name if not number else f"{node.layer.name}:{number}"
            inputs = [value for value in nest.flatten((node.call_args, node.call_kwargs)) if hasattr(value, "_keras_history")]
            outputs = nest.flatten(node.outputs)
            self.nodes.append(Node(name, node.layer, len(own), node.call_args, node.call_kwargs, inputs, outputs))
        self.producers = {id(tensor): node for node in self.nodes for tensor in node.outputs}
        self.consumers: dict[int, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                self.consumers.setdefault(id(tensor), []).append(node)

    def sole_consumer(self, tensor: Any, *, through_inert: bool = True) -> Node | None:
        """The one call that takes a tensor, seen through inert layers; None where there are several or it is a result."""
        while True:
            takers = self.consumers.get(id(tensor), [])
            if len(takers) != 1 or any(tensor is output for output in self.outputs):
                return None
            if not (through_inert and takers[0].is_inert):
                return takers[0]
            tensor = takers[0].outputs[0]


def tensors_of(model: Any) -> dict[str, Any]:
    """Symbolic tensors of a flat model by the names of the calls that make them, its input under the input's own name."""
    graph = FlatGraph(model)
    return {graph.inputs[0].name: graph.inputs[0]} | {node.name: node.outputs[0] for node in graph.nodes}
