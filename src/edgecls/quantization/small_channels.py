"""Small channels: convolution channels whose weights are so small beside their bias that int8 cannot hold both.

A bias is stored as int32 in steps of input scale * weight scale. Folding a BatchNorm leaves dead channels with weights near zero and a
real bias; the steps are then so fine that the bias does not fit into 32 bits, and the quantizer writes the most negative number
instead: the channel vanishes without a word. Here one weight of such a channel is raised until the bias fits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from edgecls.formats.tflite.graph import BIAS, CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.quantization.ranges import Range

# The bias may take 2**30 steps, half of what int32 holds. The raised weight adds at most 127 codes * 255 input codes = 2**15 steps
# to it: 1/32768 of the bias, far below one step of the int8 result.
LARGEST_CODE = 2**30


def raise_small_channels(graph: TFLiteGraph, ranges: Mapping[str, Range], float_layers: Collection[str] = ()) -> None:
    """Let the biases of a float32 TFLite model all fit into int32 under these activation ranges.

    Args:
        graph: changed.
        float_layers: outputs of operations that stay float, and so as they are.
    """
    for operation in graph.operations:
        axis, source = CHANNEL_AXIS.get(operation.kind), ranges.get(graph.names[operation.operand(0)])
        if axis is None or source is None or graph.names[operation.output] in float_layers:
            continue
        weights, bias = graph.floats(operation.operand(KERNEL)), graph.floats(operation.operand(BIAS))
        if weights is None or bias is None:
            continue
        raised = _raise(weights, bias, axis, (source.high - source.low) / 255)
        if raised is not None:
            graph.replace_constant(operation, KERNEL, raised)


def _raise(weights: np.ndarray, bias: np.ndarray, axis: int, input_scale: float) -> np.ndarray | None:
    channels_first = np.moveaxis(weights, axis, 0).reshape(len(bias), -1).copy()
    largest = np.abs(channels_first).max(axis=1)
    needed = 127 * np.abs(bias) / (LARGEST_CODE * max(input_scale, np.finfo(np.float32).tiny))
    small = np.flatnonzero(largest < needed)
    if not small.size:
        return None
    place = np.abs(channels_first[small]).argmax(axis=1)
    sign = np.where(channels_first[small, place] < 0, -1, 1)
    channels_first[small, place] = sign * needed[small]
    moved = channels_first.reshape(np.moveaxis(weights, axis, 0).shape)
    return np.ascontiguousarray(np.moveaxis(moved, 0, axis), np.float32)
