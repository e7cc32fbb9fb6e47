"""Bias correction: rounding weights to int8 shifts a layer's mean output; the bias can take the shift back.

For a layer y = W x + b with rounded weights Wq the mean error is (Wq - W) E[x], and E[x] per input channel is known from the
calibration images, so that b + (W - Wq) E[x] has the right mean (Nagel et al. 2019, arXiv 1906.04721, section 4.2, with measured means).
It costs nothing at inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import WEIGHT_CHANNEL_AXIS, tflite_name
from edgecls.formats.tflite.graph import BIAS, TFLiteGraph
from edgecls.quantization.scales import HIGHEST, float16_scale

if TYPE_CHECKING:
    import onnx


def weighted_inputs(model: onnx.ModelProto) -> dict[str, str]:
    """For each operation with constant weights: TFLite name of its output -> name of the value it reads."""
    constants = {item.name for item in model.graph.initializer}
    return {
        tflite_name(node.output[0]): node.input[0]
        for node in model.graph.node
        if node.op_type in WEIGHT_CHANNEL_AXIS and node.input[1] in constants
    }


def bias_shifts(model: onnx.ModelProto, means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What to add to the bias of each operation, by the TFLite name of its output.

    Args:
        model: float ONNX model.
        means: mean of every channel [C] of the values that `weighted_inputs` names.
    """
    from onnx import numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    shifts = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in constants or node.input[0] not in means:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        if node.op_type != "Conv":
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            weights = weights if transposed else weights.T
        lost = weights - _rounded(weights)
        per_input = lost.reshape(*lost.shape[:2], -1).sum(axis=2)  # [outputs, inputs per group]
        groups = next((item.i for item in node.attribute if item.name == "group"), 1)
        mean = means[node.input[0]].reshape(groups, -1)
        if per_input.shape[0] % groups or mean.shape[1] != per_input.shape[1]:
            continue
        grouped = per_input.reshape(groups, -1, per_input.shape[1])
        shifts[tflite_name(node.output[0])] = np.einsum("goi,gi->go", grouped, mean).ravel()
    return shifts


def shift_biases(graph: TFLiteGraph, shifts: dict[str, np.ndarray]) -> None:
    """Shift the biases of a float32 TFLite model; operations without a bias stay as they are.

    Args:
        graph: changed.
        shifts: from `bias_shifts`.
    """
    for operation in graph.operations:
        shift, bias = shifts.get(graph.names[operation.output]), graph.floats(operation.operand(BIAS))
        if shift is not None and bias is not None and bias.size == shift.size:
            graph.replace_constant(operation, BIAS, bias.ravel() + shift)


def _rounded(weights: np.ndarray) -> np.ndarray:
    """Weights [outputs, …] as symmetric int8 per output channel stores them."""
    scale = np.abs(weights).reshape(len(weights), -1).max(axis=1) / HIGHEST
    scale = np.where(scale > 0, float16_scale(scale), 1.0).reshape(-1, *[1] * (weights.ndim - 1))
    return np.rint(weights / scale) * scale
