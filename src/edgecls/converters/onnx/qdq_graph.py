"""The float ONNX graph made ready for QDQ: products joined to their biases, parameters on both sides of what only moves values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import AS_MATRIX, INPUT, tflite_name
from edgecls.quantization.parameters import Affine

if TYPE_CHECKING:
    import onnx

MOVES_VALUES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "MaxPool"}


def consumers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """value -> the nodes that read it"""
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)
    return consumers


def spread_parameters(graph: onnx.GraphProto, activations: dict[str, Affine], float_layers: Collection[str]) -> dict[str, Affine]:
    """Give values on both sides of an integer operation that only moves values the same parameters."""
    spread = activations | {f"{name}{AS_MATRIX}": affine for name, affine in activations.items()}
    known = {INPUT, *(name for node in graph.node for name in node.output)}
    for nodes in (graph.node, reversed(graph.node)):
        for node in nodes:
            if node.op_type not in MOVES_VALUES or tflite_name(node.output[0]) in float_layers:
                continue
            before, after = node.input[0], node.output[0]
            if before in spread and after not in spread:
                spread[after] = spread[before]
            elif after in spread and before not in spread and before in known:
                spread[before] = spread[after]
    return {name: affine for name, affine in spread.items() if name in known}


def join_biases(graph: onnx.GraphProto, constants: dict[str, np.ndarray]) -> None:
    """Join MatMul with constant weights and the Add of its bias to Gemm, which has an integer kernel with bias."""
    consumers = consumers_of(graph)
    for node in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]:
        users = consumers[node.output[0]]
        if constants[node.input[1]].ndim != 2 or len(users) != 1 or users[0].op_type != "Add":
            continue
        bias = next((name for name in users[0].input if name in constants and constants[name].ndim == 1), None)
        if bias is not None:
            node.op_type, node.output[0] = "Gemm", users[0].output[0]
            node.input.append(bias)
            graph.node.remove(users[0])
