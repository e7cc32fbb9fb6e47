"""Explicit: a float32 TFLite model in which every step is an operation of its own, for the way to ONNX.

tf2onnx gives the tensor name of an operation with a fused activation or bias to the value before it, loses the name where it joins a
product and its bias to Gemm, and drops the bias of a fully connected layer whose input has more than two axes. In the explicit form
each name means the same values in both formats, no bias is lost, and products are of matrices, for which alone there is a kernel with bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.formats.onnx.names import AS_MATRIX, AS_ROW, BEFORE_ACTIVATION, BEFORE_BIAS
from edgecls.formats.tflite.graph import GraphOperation, TFLiteGraph

ANY_ROWS = -1  # so that the batch axis stays free
_ACTIVATIONS = {
    schema.ActivationFunctionType.RELU: "RELU",
    schema.ActivationFunctionType.RELU6: "RELU6",
    schema.ActivationFunctionType.RELU_N1_TO_1: "RELU_N1_TO_1",
    schema.ActivationFunctionType.TANH: "TANH",
}


def make_explicit(graph: TFLiteGraph) -> bytes:
    """The model with fused activations split off, and fully connected layers split into reshape, product and bias."""
    return _Rewriter(graph.copy()).run()


class _Rewriter:
    def __init__(self, graph: TFLiteGraph) -> None:
        self.graph = graph
        self.operators: list[Any] = []
        self.matrices: dict[tuple[int, int], int] = {}  # tensor of more than two axes, and columns -> the same as a matrix

    def run(self) -> bytes:
        for operation in self.graph.operations:
            connects = operation.kind == "FULLY_CONNECTED"
            shaping = self._make_matrices(operation) if connects else []
            self.operators.append(operation.operator)
            activation = self._split_activation(operation)
            if connects:
                self._split_fully_connected(operation)
            if activation is not None:
                self.operators.append(activation)
            self.operators.extend(shaping)
        self.graph.replace_operators(self.operators)
        return self.graph.pack()

    def _split_activation(self, operation: GraphOperation) -> Any:
        kind = _ACTIVATIONS.get(getattr(operation.operator.builtinOptions, "fusedActivationFunction", 0))
        if kind is None:
            return None
        operation.operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        after = operation.output
        before = self._tensor_like(after, BEFORE_ACTIVATION)
        operation.operator.outputs = [before]
        return self.graph.make_operator(kind, [before], [after])

    def _make_matrices(self, operation: GraphOperation) -> list[Any]:
        """Bring what is multiplied to two axes before; the operation that gives the result its axes back, if it has more."""
        (data, weights), result = operation.operands[:2], operation.output
        axes, columns = list(self.graph.shape(result)), self.graph.shape(weights)[1]
        if len(self.graph.shape(data)) != 2:
            if (data, columns) not in self.matrices:
                self.matrices[data, columns] = self._matrix(data, int(np.prod(axes[:-1])), columns)
                self.operators.append(self._reshape(data, self.matrices[data, columns], [ANY_ROWS, columns]))
            operation.operator.inputs = [self.matrices[data, columns], *operation.operands[1:]]
        if len(axes) == 2:
            return []
        matrix = self.matrices[result, axes[-1]] = self._matrix(result, int(np.prod(axes[:-1])), axes[-1])
        operation.operator.outputs = [matrix]
        return [self._reshape(matrix, result, axes)]

    def _matrix(self, tensor: int, rows: int, columns: int) -> int:
        matrix = self._tensor_like(tensor, AS_MATRIX if columns == self.graph.shape(tensor)[-1] else AS_ROW)
        made = self.graph.tensor(matrix)
        made.shape, made.shapeSignature = np.array([rows, columns], np.int32), None
        return matrix

    def _split_fully_connected(self, operation: GraphOperation) -> None:
        """As BATCH_MATMUL, which tf2onnx leaves a product, instead of FULLY_CONNECTED, which it turns into a Gemm without name."""
        data, weights, bias = (*operation.operands, -1)[:3]
        result = operation.output
        options = schema.BatchMatMulOptionsT()
        options.adjY = True
        product = self._tensor_like(result, BEFORE_BIAS) if bias >= 0 else result
        self.operators[-1] = self.graph.make_operator(
            "BATCH_MATMUL", [data, weights], [product], schema.BuiltinOptions.BatchMatMulOptions, options
        )
        if bias >= 0:
            self.operators.append(
                self.graph.make_operator("ADD", [product, bias], [result], schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
            )

    def _reshape(self, tensor: int, result: int, axes: list[int]) -> Any:
        """The operation that gives a tensor's values these axes, as another tensor."""
        shape = np.array(axes, np.int32)
        name = f"{self.graph.names[result]}/shape"
        constant = self.graph.add_tensor(name, [len(axes)], schema.TensorType.INT32, shape.view(np.uint8))
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        return self.graph.make_operator("RESHAPE", [tensor, constant], [result], schema.BuiltinOptions.ReshapeOptions, options)

    def _tensor_like(self, tensor: int, suffix: str) -> int:
        return self.graph.add_tensor_like(tensor, self.graph.names[tensor] + suffix)
