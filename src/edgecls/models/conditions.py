"""Conditions that the image size alone decides are decided in the frozen graph: no format has branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecls.models.graph_rewrites import constant_node, replace_nodes
from edgecls.system.extras import require

_BRANCHES = ("Switch", "Merge")
# Computes shapes, drops branches never taken, checks that always hold, and what only waited for either.
_FOLDING = ["constfold", "loop", "debug_stripper", "dependency"]


def decide_conditions(graph: Any, source: str, results: Sequence[str]) -> Any:
    """The graph without branches whose condition follows from the shape of the image, as where Resizing of Keras 3 pads.

    Args:
        graph: GraphDef of constants.
        source, results: names of its placeholder and of the nodes of its scores.
    """
    before = None
    while _branches(graph) and len(graph.node) != before:  # a condition that one round computes is decided by the next
        before = len(graph.node)
        graph = _folded(graph, source, results)
    pad_instead_of_joining(graph)
    return graph


def _branches(graph: Any) -> int:
    return sum(node.op in _BRANCHES for node in graph.node)


def _folded(graph: Any, source: str, results: Sequence[str]) -> Any:
    tf = require("tensorflow")
    from tensorflow.lite.python.util import get_grappler_config, run_graph_optimizations

    graph = tf.compat.v1.graph_util.extract_sub_graph(graph, list(results))
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph, name="")
        ends = [[imported.get_tensor_by_name(f"{name}:0") for name in names] for names in ([source], results)]
        shaped = imported.as_graph_def(add_shapes=True)
        return run_graph_optimizations(shaped, *ends, config=get_grappler_config(_FOLDING), graph=imported)


def pad_instead_of_joining(graph: Any) -> None:
    """Write borders of one value that are joined to a value as padding: constants of batch 1 would keep the batch axis from being free."""
    nodes = {node.name: node for node in graph.node}
    kept, padding = [], []
    for node in graph.node:
        found = list(_padding(nodes, node)) if node.op == "ConcatV2" else []
        (padding if found else kept).extend(found or [node])
    if padding:
        replace_nodes(graph, [*kept, *padding])


def _padding(nodes: dict[str, Any], node: Any) -> list[Any]:
    """The nodes that pad what a ConcatV2 joins constants of one value to; none where it does not."""
    tf = require("tensorflow")
    parts = [_constant(nodes, name) for name in node.input]
    axis, places = parts.pop(), [index for index, part in enumerate(parts) if part is None]
    borders = [part for part in parts if part is not None]
    if axis is None or len(places) != 1 or not borders or len({float(value) for part in borders for value in part.ravel()}) != 1:
        return []
    width = np.zeros((borders[0].ndim, 2), np.int32)
    for index, part in enumerate(parts):
        if part is not None:
            width[int(axis), int(index > places[0])] += part.shape[int(axis)]
    if width[0].any():
        return []
    padded = tf.compat.v1.NodeDef(
        name=node.name, op="PadV2", input=[node.input[places[0]], f"{node.name}/width", f"{node.name}/value"]
    )
    padded.attr["T"].type = node.attr["T"].type
    padded.attr["Tpaddings"].type = tf.int32.as_datatype_enum
    return [constant_node(f"{node.name}/width", width), constant_node(f"{node.name}/value", borders[0].ravel()[0]), padded]


def _constant(nodes: dict[str, Any], reference: str) -> np.ndarray | None:
    node = nodes[reference.partition(":")[0]]
    return np.asarray(require("tensorflow").make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else None
