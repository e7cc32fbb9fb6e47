"""Which operations of an .onnx may be computed wrongly where 16 bits hold the sum of two products: x86-64 without VNNI.

ONNX Runtime multiplies uint8 activations by int8 weights there with VPMADDUBSW, which adds two neighbouring products and clips the sum
to 16 bits. 255 × (v + w) leaves them from v + w = 129 on, and from -129 down. Which weights become neighbours depends on how a kernel
packs them, so any two of one output channel count. ConvInteger and convolutions of one input and one output channel a group (depthwise)
have kernels that add up in 32 bits, and so have int8 activations and uint8 weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_LARGEST_SUM = 128  # 255 × 128 = 32,640 and 255 × -128 = -32,640 are held, the next multiples of 255 are not
# operation -> the inputs that hold activations and weights, where it takes integers itself
_INTEGER = {
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
    "QGemm": (0, 3),
    "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
}
_BETWEEN_PAIRS = {"Conv", "MatMul", "Gemm"}  # computed in integers behind DequantizeLinear
_QUANTIZES_ITSELF = {"DynamicQuantizeMatMul"}  # its float input, to uint8
_DEQUANTIZE = "DequantizeLinear"
_INT8 = 3  # TensorProto.INT8


def clipped_operations(graph: Any, values: Callable[[str], np.ndarray | None]) -> list[str]:
    """Names of the operations whose sums may be clipped, in order of execution.

    Args:
        graph: of `edgecls.formats.onnx.read`.
        values: of a constant, by name; None where they are in another file: such weights count as large.
    """
    found = []
    for node in graph.nodes:
        activations, weights = _operands(graph, node)
        if activations != "uint8" or weights not in graph.constants or graph.constants[weights].data_type != _INT8:
            continue
        kernel = values(weights)
        if kernel is None or (_may_clip(node, kernel) and not _is_depthwise(node, kernel)):
            found.append(node.name or node.output[0])
    return found


def _operands(graph: Any, node: Any) -> tuple[str, str]:
    """dtype of the activations and constant of the weights that a node multiplies; empty where it multiplies no integers."""
    places = _INTEGER.get(node.op_type, (0, 1) if node.op_type in _BETWEEN_PAIRS else None)
    if places is None or len(node.input) <= max(places):
        return "", ""
    source, weights = (node.input[place] for place in places)
    if node.op_type in _QUANTIZES_ITSELF:
        return "uint8", graph.folded.get(weights, "")
    if node.op_type in _BETWEEN_PAIRS:
        maker = graph.makers.get(source)
        if maker is None or maker.op_type != _DEQUANTIZE or weights in graph.constants:
            return "", ""
        source = maker.input[0]
    return graph.dtypes.get(source, ""), graph.folded.get(weights, "")


def _is_depthwise(node: Any, kernel: np.ndarray) -> bool:
    group = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return group > 1 and kernel.ndim > 2 and kernel.shape[:2] == (group, 1)


def _may_clip(node: Any, kernel: np.ndarray) -> bool:
    """Whether two weights of the same sign of one output channel are large enough together."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    channels = 0 if "Conv" in node.op_type or transposed else -1
    rows = np.moveaxis(kernel, channels, 0).reshape(kernel.shape[channels], -1).astype(np.int16)
    if not rows.size or rows.shape[1] < 2:
        return False
    ordered = np.sort(rows, axis=1)
    return bool((ordered[:, -2:].sum(axis=1) > _LARGEST_SUM).any() or (ordered[:, :2].sum(axis=1) < -_LARGEST_SUM).any())
