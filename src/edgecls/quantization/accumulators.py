"""Accumulators: outputs of weighted layers whose steps would be far finer than those in which the layer counts.

A layer counts its sums in steps of input scale * weight scale. XNNPACK refuses the whole model where one of these is 256 steps of the
output or more, as where a ReLU lets next to nothing through. Output steps that fine tell nothing: all sums lie so many of them apart.

Source: `requantization_scale >= 256.0f` in `convolution-nhwc.c`, `deconvolution-nhwc.c`, `fully-connected-nc.c` of XNNPACK.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from edgecls.formats.tflite.graph import CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import HIGHEST, STEPS, float16_scale, scaled_range

_MOST_RATIO = 128  # of a layer's own step to its output's; half of what XNNPACK takes, for ranges may still be widened
_SOURCE = {**dict.fromkeys(CHANNEL_AXIS, 0), "TRANSPOSE_CONV": 2}  # place of the activation among the operands


def widen_outputs(graph: TFLiteGraph, ranges: Mapping[str, Range], float_layers: Collection[str] = ()) -> dict[str, Range]:
    """The same ranges, those of weighted layers' outputs widened where they are too narrow for what the layer adds up.

    Args:
        graph: of the float32 TFLite model.
        ranges: of every activation by its tensor's name; each contains zero and is not a point.
        float_layers: outputs of operations that stay float.
    """
    widened = dict(ranges)
    for operation in graph.operations:  # in order: an output widened is the input of the next
        place, output = _SOURCE.get(operation.kind), graph.names[operation.output]
        source = None if place is None else widened.get(graph.names[operation.operand(place)])
        kernel = None if source is None else graph.floats(operation.operand(KERNEL))
        if source is None or kernel is None or output not in widened or output in float_layers:
            continue
        least = _step(source) * float(np.abs(kernel).max()) / HIGHEST / _MOST_RATIO
        if _step(widened[output]) < least:
            widened[output] = scaled_range(widened[output], float(float16_scale(least)))
    return widened


def _step(value: Range) -> float:
    return (value.high - value.low) / STEPS
