"""Constants: reading the constant operands of a TFLite model's operations, and giving one of them another."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

WEIGHT_CHANNEL_AXIS = {  # of operations with a kernel at place 1 and perhaps a bias at place 2: the kernel's axis of output channels
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}


def float_values(model: Any, tensor: Any) -> np.ndarray | None:
    """The values of a float32 constant; None of anything else."""
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)


def replace_constant(model: Any, operator: Any, place: int, values: np.ndarray) -> None:
    """Change a float32 operand of one operation.

    A constant that nothing else uses is changed where it is; a shared one (converters store equal constants once) stays for the others,
    and the operation gets its own.

    Args:
        model: `ModelT` of one subgraph; changed.
        operator: one of its operations.
        place: which of the operation's inputs.
        values: of the same shape.
    """
    graph = model.subgraphs[0]
    index = operator.inputs[place]
    tensor = graph.tensors[index]
    readers = sum(list(other.inputs).count(index) for other in graph.operators)
    sharers = sum(other.buffer == tensor.buffer for other in graph.tensors)
    data = np.ascontiguousarray(values, np.float32).view(np.uint8).ravel()
    if readers == sharers == 1:
        model.buffers[tensor.buffer].data = data
        return
    buffer, copy = schema.BufferT(), schema.TensorT()
    buffer.data = data
    model.buffers.append(buffer)
    copy.shape, copy.type, copy.buffer = tensor.shape, tensor.type, len(model.buffers) - 1
    copy.name = tensor.name + f"/own_{len(graph.tensors)}".encode()
    graph.tensors.append(copy)
    operator.inputs = [*operator.inputs[:place], len(graph.tensors) - 1, *operator.inputs[place + 1 :]]
