"""Float16 scales: a TFLite model whose int8 parameters float16 holds exactly; see `edgecls.quantization.scales`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from edgecls.formats.tflite.graph import BIAS, CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.quantization.scales import HIGHEST, float16_bias, float16_scale


def round_to_float16(graph: TFLiteGraph, float_layers: Collection[str] = ()) -> None:
    """Give the kernels of a float32 TFLite model float16 scales, one for each output channel, and its biases float16 numbers.

    The largest weight of each channel becomes 127 times its scale, an eighth of a step more at most where float16 has all its digits.

    Args:
        graph: changed.
        float_layers: outputs of operations that stay float, and so as they are.
    """
    for operation in graph.operations:
        axis = CHANNEL_AXIS.get(operation.kind)
        if axis is None or graph.names[operation.output] in float_layers:
            continue
        weights, bias = graph.floats(operation.operand(KERNEL)), graph.floats(operation.operand(BIAS))
        if weights is None:
            continue
        by_channel = np.moveaxis(weights, axis, 0)
        rows, _ = with_float16_scales(by_channel.reshape(len(by_channel), -1))
        scaled = np.moveaxis(rows.reshape(by_channel.shape), 0, axis)
        graph.replace_constant(operation, KERNEL, np.ascontiguousarray(scaled, np.float32))
        if bias is not None:
            graph.replace_constant(operation, BIAS, float16_bias(bias))


def with_float16_scales(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [outputs, weights of one] whose largest is 127 times a float16 scale, and the scales [outputs]; 1 where all are zero."""
    rows = rows.astype(np.float32)
    places = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
    largest = rows[places]
    scale = np.abs(largest) / np.float32(HIGHEST)
    raised = float16_scale(scale)
    rows[places] = np.where(raised == scale, largest, np.copysign(raised * np.float32(HIGHEST), largest))
    return rows, np.where(raised > 0, raised, np.float32(1))
