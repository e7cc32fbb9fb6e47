"""Parameters: the scales and zero points that a TFLite int8 model carries, read back from it for the other formats to share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgecls.formats.tflite.graph import KERNEL, TFLiteGraph


@dataclass(frozen=True)
class Affine:
    """`real = scale * (code - zero_point)` with int8 codes.

    Attributes:
        scale: [1] or [channels], float32.
        zero_point: of the same length.
    """

    scale: np.ndarray
    zero_point: np.ndarray


@dataclass(frozen=True)
class OperationParameters:
    """Constant operands of one operation.

    Attributes:
        constants: parameters of each int8 constant operand, by its place among the TFLite operation's inputs.
        weights: int8 codes of the operand at place 1, in TFLite's layout; None where it is no int8 constant.
        bias: int32 codes of the bias [channels], None where there is none.
    """

    constants: dict[int, Affine] = field(default_factory=dict)
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None


@dataclass(frozen=True)
class Parameters:
    """All int8 parameters of one model.

    Attributes:
        activations: by the name the tensor has in the float model.
        operations: by the name of the operation's (first) output tensor.
        input, output: names of the model's own input and output tensor.
    """

    activations: dict[str, Affine]
    operations: dict[str, OperationParameters]
    input: str
    output: str


def read_parameters(model: bytes) -> Parameters:
    """Read the parameters of a TFLite int8 model made by `reduce_tflite`."""
    from ai_edge_litert.schema_py_generated import TensorType

    graph = TFLiteGraph(model)
    activations: dict[str, Affine] = {}
    operations: dict[str, OperationParameters] = {}
    for operation in graph.operations:
        if operation.kind in ("QUANTIZE", "DEQUANTIZE"):
            _name_across_border(graph, operation.operand(0), operation.output, activations)
            continue
        constants, weights, bias = {}, None, None
        for place, tensor in enumerate(operation.operands):
            if tensor not in operation.constants or (affine := _affine(graph, tensor)) is None:
                continue
            if graph.tensor(tensor).type == TensorType.INT8:
                constants[place] = affine
                if place == KERNEL:
                    weights = _codes(graph, tensor, np.int8).reshape(graph.shape(tensor))
            elif graph.tensor(tensor).type == TensorType.INT32:
                bias = _codes(graph, tensor, np.int32)
        for output in operation.outputs:
            operations[graph.names[output]] = OperationParameters(constants, weights, bias)
    for tensor in (*graph.inputs, *(output for operation in graph.operations for output in operation.outputs)):
        if graph.tensor(tensor).type == TensorType.INT8 and (affine := _affine(graph, tensor)):
            activations.setdefault(graph.names[tensor], affine)
    return Parameters(activations, operations, graph.names[graph.inputs[0]], graph.names[graph.outputs[0]])


def _name_across_border(graph: TFLiteGraph, before: int, after: int, activations: dict[str, Affine]) -> None:
    """Give the float tensor on one side of a (de)quantization the parameters of the int8 tensor on its other side."""
    for tensor, other in ((before, after), (after, before)):
        affine = _affine(graph, other)
        if affine and not _affine(graph, tensor):
            activations[graph.names[tensor]] = affine


def _affine(graph: TFLiteGraph, tensor: int) -> Affine | None:
    quantization = graph.tensor(tensor).quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    scale = np.asarray(quantization.scale, np.float32)
    zero_point = np.asarray(quantization.zeroPoint if quantization.zeroPoint is not None else 0, np.int64)
    return Affine(scale, np.broadcast_to(zero_point, scale.shape).astype(np.int8))


def _codes(graph: TFLiteGraph, tensor: int, dtype: type[np.int8] | type[np.int32]) -> np.ndarray:
    data = graph.data(tensor)
    return np.zeros(0, dtype) if data is None else data.view(dtype)
