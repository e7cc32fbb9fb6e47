"""Explicit: a float32 TFLite model in which every step is an operation of its own, for the way to ONNX.

tf2onnx gives the tensor name of an operation with a fused activation or bias to the value before it, loses the name where it joins a
product and its bias to Gemm, and drops the bias of a fully connected layer whose input has more than two axes. In the explicit form
each name means the same values in both formats, no bias is lost, and products are of matrices, for which alone there is a kernel with bias.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

BEFORE_ACTIVATION = "/before_activation"
BEFORE_BIAS = "/before_bias"
AS_MATRIX, AS_ROW = "/matrix", "/row"  # with the last axis as columns; an image's values one after another
ANY_ROWS = -1  # so that the batch axis stays free
_ACTIVATIONS = {
    schema.ActivationFunctionType.RELU: schema.BuiltinOperator.RELU,
    schema.ActivationFunctionType.RELU6: schema.BuiltinOperator.RELU6,
    schema.ActivationFunctionType.RELU_N1_TO_1: schema.BuiltinOperator.RELU_N1_TO_1,
    schema.ActivationFunctionType.TANH: schema.BuiltinOperator.TANH,
}


def make_explicit(model: bytes) -> bytes:
    """Split fused activations, and fully connected layers into reshape, product and bias."""
    return _Rewriter(model).run()


def tflite_name(name: str) -> str:
    """Name of the TFLite tensor whose operation computes an explicit value."""
    return name.removesuffix(BEFORE_BIAS).removesuffix(BEFORE_ACTIVATION).removesuffix(AS_MATRIX)


class _Rewriter:
    def __init__(self, model: bytes) -> None:
        self.size = len(model)
        self.model: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        self.graph = self.model.subgraphs[0]
        self.operators: list[Any] = []
        self.matrices: dict[tuple[int, int], int] = {}  # tensor of more than two axes, and columns -> the same as a matrix

    def run(self) -> bytes:
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]
        for operator in self.graph.operators:
            connects = codes[operator.opcodeIndex] == schema.BuiltinOperator.FULLY_CONNECTED
            shaping = self._make_matrices(operator) if connects else []
            self.operators.append(operator)
            activation = self._split_activation(operator)
            if connects:
                self._split_fully_connected(operator)
            if activation is not None:
                self.operators.append(activation)
            self.operators.extend(shaping)
        self.graph.operators = self.operators
        builder = flatbuffers.Builder(self.size + 2**16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _split_activation(self, operator: Any) -> Any:
        kind = _ACTIVATIONS.get(getattr(operator.builtinOptions, "fusedActivationFunction", 0))
        if kind is None:
            return None
        operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        before, after = self._tensor_like(operator.outputs[0], BEFORE_ACTIVATION), operator.outputs[0]
        operator.outputs = [before]
        return self._operator(kind, [before], [after])

    def _make_matrices(self, operator: Any) -> list[Any]:
        """Bring what is multiplied to two axes before; the operation that gives the result its axes back, if it has more."""
        data, result = operator.inputs[0], operator.outputs[0]
        rows = int(np.prod(self.graph.tensors[result].shape[:-1]))
        columns = int(self.graph.tensors[operator.inputs[1]].shape[1])
        if len(self.graph.tensors[data].shape) != 2:
            if (data, columns) not in self.matrices:
                self.matrices[data, columns] = self._matrix(data, rows, columns)
                self.operators.append(self._reshape(data, self.matrices[data, columns], [ANY_ROWS, columns]))
            operator.inputs = [self.matrices[data, columns], *operator.inputs[1:]]
        axes = [int(axis) for axis in self.graph.tensors[result].shape]
        if len(axes) == 2:
            return []
        matrix = self.matrices[result, axes[-1]] = self._matrix(result, rows, axes[-1])
        operator.outputs = [matrix]
        return [self._reshape(matrix, result, axes)]

    def _matrix(self, tensor: int, rows: int, columns: int) -> int:
        matrix = self._tensor_like(tensor, AS_MATRIX if columns == self.graph.tensors[tensor].shape[-1] else AS_ROW)
        self.graph.tensors[matrix].shape, self.graph.tensors[matrix].shapeSignature = np.array([rows, columns], np.int32), None
        return matrix

    def _split_fully_connected(self, operator: Any) -> None:
        """As BATCH_MATMUL, which tf2onnx leaves a product, instead of FULLY_CONNECTED, which it turns into a Gemm without name."""
        data, weights, bias = (*operator.inputs, -1)[:3]
        result = operator.outputs[0]
        options = schema.BatchMatMulOptionsT()
        options.adjY = True
        product = self._tensor_like(result, BEFORE_BIAS) if bias >= 0 else result
        kind = schema.BuiltinOperator.BATCH_MATMUL
        self.operators[-1] = self._operator(kind, [data, weights], [product], schema.BuiltinOptions.BatchMatMulOptions, options)
        if bias >= 0:
            self.operators.append(
                self._operator(
                    schema.BuiltinOperator.ADD,
                    [product, bias],
                    [result],
                    schema.BuiltinOptions.AddOptions,
                    schema.AddOptionsT(),
                )
            )

    def _reshape(self, tensor: int, result: int, axes: list[int]) -> Any:
        """The operation that gives a tensor's values these axes, as another tensor."""
        shape = np.array(axes, np.int32)
        buffer = schema.BufferT()
        buffer.data = shape.view(np.uint8)
        self.model.buffers.append(buffer)
        constant = schema.TensorT()
        constant.shape, constant.type, constant.buffer = [len(axes)], schema.TensorType.INT32, len(self.model.buffers) - 1
        constant.name = self.graph.tensors[result].name + b"/shape"
        self.graph.tensors.append(constant)
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        place = len(self.graph.tensors) - 1
        return self._operator(
            schema.BuiltinOperator.RESHAPE, [tensor, place], [result], schema.BuiltinOptions.ReshapeOptions, options
        )

    def _tensor_like(self, index: int, suffix: str) -> int:
        original = self.graph.tensors[index]
        tensor = schema.TensorT()
        tensor.shape, tensor.shapeSignature, tensor.type = original.shape, original.shapeSignature, original.type
        tensor.buffer, tensor.name = 0, original.name + suffix.encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _operator(self, kind: int, inputs: list[int], outputs: list[int], options_type: int = 0, options: Any = None) -> Any:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        return operator

    def _code(self, kind: int) -> int:
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]
        if kind not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = kind
            code.deprecatedBuiltinCode = min(kind, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
            code.version = 1
            self.model.operatorCodes.append(code)
            codes.append(kind)
        return codes.index(kind)
