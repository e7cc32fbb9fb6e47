"""Kernels: the weights of a float TFLite model, those of every kind of operation in one form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgecls.formats.tflite.graph import BIAS, CHANNEL_AXIS, KERNEL, GraphOperation, TFLiteGraph

_FROM_TFLITE = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (0, 1)}


class LinearPart(NamedTuple):
    """What an operation multiplies with, in the form of `rows_of`, and what it adds to each output; None where it adds nothing."""

    rows: np.ndarray
    bias: np.ndarray | None = None


def rows_of(graph: TFLiteGraph, operation: GraphOperation) -> np.ndarray | None:
    """Weights [outputs, inputs per group, places of the window]; None where they are no float constant."""
    kernel = graph.floats(operation.operand(KERNEL)) if operation.kind in CHANNEL_AXIS else None
    return None if kernel is None else as_rows(kernel, operation.kind)


def as_rows(kernel: np.ndarray, kind: str) -> np.ndarray:
    """A kernel in the layout of its kind of operation, in the form of `rows_of`."""
    moved = kernel.transpose(_FROM_TFLITE[kind])
    return moved.reshape(*moved.shape[:2], -1)


def set_rows(graph: TFLiteGraph, operation: GraphOperation, rows: np.ndarray) -> None:
    """Give an operation other weights.

    Args:
        graph: changed.
        rows: in the form of `rows_of`.
    """
    order = _FROM_TFLITE[operation.kind]
    shape = graph.shape(operation.operand(KERNEL))
    moved = rows.reshape([shape[axis] for axis in order])
    graph.replace_constant(operation, KERNEL, moved.transpose(np.argsort(order)))


def linear_parts(graph: TFLiteGraph) -> dict[str, LinearPart]:
    """What the operations of a graph compute with, where that is float constants, by the name of the operation's output."""
    biases = {graph.names[operation.output]: graph.floats(operation.operand(BIAS)) for operation in graph.operations}
    return {name: LinearPart(rows, biases[name]) for name, rows in kernels(graph).items()}


def kernels(graph: TFLiteGraph) -> dict[str, np.ndarray]:
    """Weights in the form of `rows_of` by the name of the operation's output."""
    found = {graph.names[operation.output]: rows_of(graph, operation) for operation in graph.operations}
    return {name: rows for name, rows in found.items() if rows is not None}


def spread_over_weights(channels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What belongs to the channels that an operation reads [C], by the weights that look at them [outputs, inputs per group]."""
    outputs, inputs = rows.shape[:2]
    groups = channels.reshape(-1, inputs)
    return np.repeat(groups, outputs // len(groups), axis=0)
