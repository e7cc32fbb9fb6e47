"""Bias correction: rounding weights to int8 shifts a layer's mean output; the bias can take the shift back.

For a layer y = W x + b with rounded weights Wq the mean error is (Wq - W) E[x], and E[x] per input channel is known from the
calibration images, so that b + (W - Wq) E[x] has the right mean (Nagel et al. 2019, arXiv 1906.04721, section 4.2, with measured means).
It costs nothing at inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgecls.formats.tflite.graph import BIAS, TFLiteGraph
from edgecls.quantization.float16_scales import with_float16_scales
from edgecls.quantization.weighted_layers import WeightedLayer


def bias_shifts(
    layers: Sequence[WeightedLayer], means: Mapping[str, np.ndarray], rounded: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What to add to the bias of each layer, by its name.

    Args:
        means: mean of every channel [C] of the values that layers read.
        rounded: weights of layers as their file will hold them, by name; those of the others are rounded to the nearest codes.
    """
    shifts = {}
    for layer in layers:
        if layer.source not in means:
            continue
        lost = layer.weights.astype(np.float64) - rounded.get(layer.name, _nearest(layer.weights))
        mean = means[layer.source].reshape(layer.groups, -1)
        if len(lost) % layer.groups or mean.shape[1] != lost.shape[1]:
            continue
        grouped = lost.sum(axis=2).reshape(layer.groups, -1, lost.shape[1])
        shifts[layer.name] = np.einsum("goi,gi->go", grouped, mean).ravel()
    return shifts


def shift_biases(graph: TFLiteGraph, shifts: Mapping[str, np.ndarray]) -> None:
    """Shift the biases of a float32 TFLite model; operations without a bias stay as they are.

    Args:
        graph: changed.
        shifts: from `bias_shifts`.
    """
    for operation in graph.operations:
        shift, bias = shifts.get(graph.names[operation.output]), graph.floats(operation.operand(BIAS))
        if shift is not None and bias is not None and bias.size == shift.size:
            graph.replace_constant(operation, BIAS, bias.ravel() + shift)


def _nearest(weights: np.ndarray) -> np.ndarray:
    """Weights [outputs, …] as symmetric int8 per output channel stores them."""
    rows, scales = with_float16_scales(weights.reshape(len(weights), -1))
    return (np.rint(rows / scales[:, None].astype(np.float64)) * scales[:, None]).reshape(weights.shape)
