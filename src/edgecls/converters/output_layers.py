"""Output layers: which layers of the model compute what a file calls by the name of an output, where the layers' own names are lost."""

from __future__ import annotations

from typing import Any

from edgecls.models.graph_evidence import constant_value, producer
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.system.extras import require

_MOVES = {"Identity", "Reshape", "Squeeze", "Cast"}  # of no layer: the scores are brought into one shape, whatever it is
_FUSED = {"BiasAdd", "Add", "AddV2", "Relu", "Relu6"}  # by TFLite into the product before
_PROBABILITIES = {"Softmax", "Sigmoid"}  # an operation of its own beside that of the layer, which has the layer's name


def output_layers(graph: FrozenGraph) -> dict[str, list[str]]:
    """Name of each output -> the operations that TFLite makes one of, which has the output's name: an activation, a bias, a product."""
    definition = require("tensorflow").compat.v1.GraphDef.FromString(graph.path.read_bytes())
    nodes = {node.name: node for node in definition.node}
    return {name: _fused(nodes, name) for name in map(producer, (graph.output, *graph.others))}


def _fused(nodes: dict[str, Any], output: str) -> list[str]:
    """The operations behind an output, the last first: as far as the first that is no mere addition to the one before."""
    found, node = [], nodes[output]
    # Two computed values are added by an operation of its own, which is the layer.
    while node.op in _MOVES | _FUSED and len(computed := _computed(nodes, node)) == 1:
        found += [node.name] if node.op in _FUSED else []
        node = computed[0]
    return found if node.op in _PROBABILITIES else [*found, node.name]


def _computed(nodes: dict[str, Any], node: Any) -> list[Any]:
    """What makes the inputs that are no constants; one with a caret is only waited for."""
    values = [name for name in node.input if not name.startswith("^") and constant_value(nodes, name) is None]
    return [nodes[producer(name)] for name in values]
