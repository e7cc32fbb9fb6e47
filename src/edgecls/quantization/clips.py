"""Clips: activations whose range an operation gives exactly, as the clip of a ReLU6 does; such a range is not estimated."""

from __future__ import annotations

from collections.abc import Mapping

from ai_edge_litert import schema_py_generated as schema

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.additions import SAME_PARAMETERS
from edgecls.quantization.ranges import Range, ValueHistogram

_FUSED = {schema.ActivationFunctionType.RELU6: Range(0.0, 6.0), schema.ActivationFunctionType.RELU_N1_TO_1: Range(-1.0, 1.0)}
_KINDS = {
    "RELU6": Range(0.0, 6.0),
    "RELU_0_TO_1": Range(0.0, 1.0),
    "RELU_N1_TO_1": Range(-1.0, 1.0),
    "LOGISTIC": Range(0.0, 1.0),
    "SOFTMAX": Range(0.0, 1.0),
    "TANH": Range(-1.0, 1.0),
}


def clipped_ranges(graph: TFLiteGraph) -> dict[str, Range]:
    """The range of every tensor of a float32 TFLite model that is clipped, and of those that only move its values, by name."""
    found: dict[int, Range] = {}
    for operation in graph.operations:
        fused = getattr(operation.operator.builtinOptions, "fusedActivationFunction", 0)
        clip = _KINDS.get(operation.kind) or _FUSED.get(fused)
        if clip is None and operation.kind in SAME_PARAMETERS:
            clip = found.get(operation.operand(0))
        if clip is not None:
            found[operation.output] = clip
    return {graph.names[tensor]: clip for tensor, clip in found.items()}


def keep_clips(
    ranges: Mapping[str, Range], clips: Mapping[str, Range], histograms: Mapping[str, ValueHistogram]
) -> dict[str, Range]:
    """The same ranges, those of clipped tensors exact where the values seen reach the upper clip.

    Where they do not, as where a ReLU6 sees small values alone, steps for the whole clip would be wasted on what never comes.
    """
    reached = {name: clip for name, clip in clips.items() if name in ranges and histograms[name].high >= clip.high}
    return {**ranges, **reached}
