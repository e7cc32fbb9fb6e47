"""Masks of attention: which operations of a TFLite model hold the number that stands for "not this one", and so stay float in int8 files.

A mask gives some scores a number like -1e9, so that their share after the softmax is zero. A range with room for it has steps of millions:
rounded to them all other scores are alike, and the attention is lost. From the mask to the softmax everything stays float.
"""

from __future__ import annotations

import numpy as np

from edgecls.formats.tflite.graph import TFLiteGraph

HUGE = 1e4  # no score comes near it; float16 masks are -6e4, others from -1e9 on
_PASSING = (  # what a mask goes through on its way: one by one, or moved to another place
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "SELECT",
    "SELECT_V2",
    "CAST",
    "RESHAPE",
    "EXPAND_DIMS",
    "SQUEEZE",
    "TRANSPOSE",
    "MAXIMUM",
    "MINIMUM",
    "BROADCAST_TO",
    "TILE",
)


def masks(graph: TFLiteGraph) -> frozenset[str]:
    """Names of the output tensors of the operations between a mask and its softmax, of a float32 TFLite model."""
    masked: set[int] = set()
    for operation in graph.operations:
        huge = any(_largest(graph.floats(constant)) >= HUGE for constant in operation.constants)
        if operation.kind in _PASSING and (huge or not masked.isdisjoint(operation.inputs)):
            masked.add(operation.output)
    found: set[int] = set()
    for operation in reversed(graph.operations):
        if operation.kind == "SOFTMAX" or operation.output in found:
            found.update(masked.intersection(operation.inputs))
    return frozenset(graph.names[tensor] for tensor in found)


def _largest(values: np.ndarray | None) -> float:
    return 0.0 if values is None else float(np.abs(values).max(initial=0))
