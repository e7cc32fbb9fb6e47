"""Small .tflite files written on the spot."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def chain(names: Sequence[str]) -> bytes:
    """A row of operations on [1, 4] with a kernel each, named after their outputs; to be read, not run."""
    model, graph, code, buffer = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.BufferT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    graph.tensors, graph.operators = [_tensor("image")], []
    for index, name in enumerate(names):
        graph.tensors += [_tensor(f"{name}/kernel"), _tensor(name)]
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [2 * index, 2 * index + 1], [2 * index + 2]
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [2 * len(names)]
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], [buffer]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def addition(parameters: Sequence[tuple[float, int]], size: int) -> bytes:
    """The sum of two int8 tensors [1, size], to be run; (scale, zero point) of both and of the sum."""
    model, graph, code, buffer = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.BufferT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    graph.tensors = [_tensor(name) for name in ("first", "second", "sum")]
    for tensor, (scale, zero_point) in zip(graph.tensors, parameters, strict=True):
        tensor.shape, tensor.type = [1, size], schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph.operators, graph.inputs, graph.outputs = [operator], [0, 1], [2]
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], [buffer]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def classifier(size: int = 4, classes: int = 3) -> bytes:
    """Images [1, size, size, 3] to scores of a dense layer, to be run."""
    model, graph, code, empty, kernel = (
        schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.BufferT(), schema.BufferT()
    )  # fmt: skip
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    inputs = 3 * size * size
    graph.tensors = [_tensor(name) for name in ("image", "kernel", "scores")]
    graph.tensors[0].shape, graph.tensors[1].shape, graph.tensors[2].shape = [1, size, size, 3], [classes, inputs], [1, classes]
    kernel.data = np.random.default_rng(0).standard_normal((classes, inputs)).astype(np.float32).tobytes()
    graph.tensors[1].buffer = 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, -1], [2]
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [2]
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], [empty, kernel]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def resizing(before: tuple[int, int], after: tuple[int, int]) -> bytes:
    """Images [1, height, width, 3] brought to another height and width, to be run."""
    model, graph, code, empty, sizes = (
        schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.BufferT(), schema.BufferT()
    )  # fmt: skip
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESIZE_BILINEAR
    graph.tensors = [_tensor(name) for name in ("image", "sizes", "scores")]
    graph.tensors[0].shape, graph.tensors[1].shape, graph.tensors[2].shape = [1, *before, 3], [2], [1, *after, 3]
    sizes.data, graph.tensors[1].type, graph.tensors[1].buffer = np.array(after, np.int32).tobytes(), schema.TensorType.INT32, 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.ResizeBilinearOptions
    operator.builtinOptions = schema.ResizeBilinearOptionsT()
    operator.builtinOptions.halfPixelCenters = True
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [2]
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], [empty, sizes]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), [1, 4], schema.TensorType.FLOAT32, 0
    return tensor
