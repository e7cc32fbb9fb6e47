"""Parameters: the scales and zero points that a TFLite int8 model carries, read back from it for the other formats to share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
    from ai_edge_litert import schema_py_generated as schema

    unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = unpacked.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
    names = [tensor.name.decode() for tensor in graph.tensors]
    produced = {output for operator in graph.operators for output in operator.outputs} | set(graph.inputs)
    border = {schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE}
    activations: dict[str, Affine] = {}
    operations: dict[str, OperationParameters] = {}
    for operator in graph.operators:
        if codes[operator.opcodeIndex] in border:
            _name_across_border(graph, names, operator, activations)
            continue
        constants, weights, bias = {}, None, None
        for place, index in enumerate(operator.inputs):
            if index < 0 or index in produced:
                continue
            tensor = graph.tensors[index]
            if tensor.type == schema.TensorType.INT8 and (affine := _affine(tensor)):
                constants[place] = affine
                if place == 1:
                    weights = _data(model, unpacked.buffers[tensor.buffer]).view(np.int8).reshape(tensor.shape)
            elif tensor.type == schema.TensorType.INT32 and _affine(tensor):
                bias = _data(model, unpacked.buffers[tensor.buffer]).view(np.int32)
        for output in operator.outputs:
            operations[names[output]] = OperationParameters(constants, weights, bias)
    for index in produced:
        tensor = graph.tensors[index]
        if tensor.type == schema.TensorType.INT8 and (affine := _affine(tensor)):
            activations.setdefault(names[index], affine)
    return Parameters(activations, operations, names[graph.inputs[0]], names[graph.outputs[0]])


def _name_across_border(graph: Any, names: list[str], operator: Any, activations: dict[str, Affine]) -> None:
    """Give the float tensor on one side of a (de)quantization the parameters of the int8 tensor on its other side."""
    before, after = operator.inputs[0], operator.outputs[0]
    for name, other in ((names[before], after), (names[after], before)):
        affine = _affine(graph.tensors[other])
        if affine and not _affine(graph.tensors[before if other == after else after]):
            activations[name] = affine


def _affine(tensor: Any) -> Affine | None:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return None
    scale = np.asarray(quantization.scale, np.float32)
    zero_point = np.asarray(quantization.zeroPoint if quantization.zeroPoint is not None else 0, np.int64)
    return Affine(scale, np.broadcast_to(zero_point, scale.shape).astype(np.int8))


def _data(model: bytes, buffer: Any) -> np.ndarray:
    """A buffer's bytes; litert-quantizer stores them behind the flatbuffer."""
    if buffer.offset:
        return np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
    return np.asarray(buffer.data, np.uint8)
