"""Float self: the float model that a quantized file rounds, which may have its channels multiplied by powers of two.

`convert` does that where it lets int8 lose less (see `quantization.equalization`). Both float models answer alike; only of the one that was
rounded do the layers hold what the quantized file's do. Which powers they are shows in the weights.
"""

from __future__ import annotations

import copy
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import BEFORE_BIAS, WEIGHT_CHANNEL_AXIS
from edgecls.formats.tflite.graph import CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.quantization.equalization import equalized, find_factors, powers_of_two, scale_rows
from edgecls.quantization.kernels import LinearPart, as_rows, linear_parts
from edgecls.quantization.parameters import read_parameters

if TYPE_CHECKING:
    import onnx

_WEIGHTS, _BIAS = "/weights/dequantized", "/bias/dequantized"


def tflite_self(graph: TFLiteGraph, quantized: bytes) -> TFLiteGraph:
    """The float model that a quantized .tflite rounds.

    Args:
        graph: of the float model that it was made from.
    """
    given = {graph.names[operation.output]: operation for operation in graph.operations}
    held = linear_parts(TFLiteGraph(quantized))  # of layers that stayed float
    parameters = read_parameters(quantized)
    for name, operation in parameters.operations.items():
        kind, affine = given[name].kind if name in given else "", operation.constants.get(KERNEL)
        if kind in CHANNEL_AXIS and operation.weights is not None and affine is not None:
            axes = [-1 if axis == CHANNEL_AXIS[kind] else 1 for axis in range(operation.weights.ndim)]
            source = parameters.activations.get(graph.names[given[name].operand(0)])
            bias = None if source is None or operation.bias is None else operation.bias * (source.scale * affine.scale)
            held[name] = LinearPart(as_rows(operation.weights * affine.scale.reshape(axes), kind), bias)
    factors = find_factors(graph, held)
    return TFLiteGraph(equalized(graph, factors).pack()) if factors else graph


def onnx_self(model: onnx.ModelProto, quantized: onnx.ModelProto) -> onnx.ModelProto:
    """The float model that a QDQ model rounds.

    Args:
        model: the float model that it was made from.
    """
    from onnx import numpy_helper

    result = copy.deepcopy(model)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    sums = [places for node in model.graph.node if node.op_type == "Add" for places in permutations(node.input)]
    added = {value: constants[other] for value, other in sums if other in constants}  # to a product
    held, factors = _held(quantized), dict[str, np.ndarray]()
    for node in result.graph.node:
        name, changed = node.output[0], dict[int, np.ndarray]()
        read = next((factors[value] for value in node.input if value in factors), None)
        if node.op_type in WEIGHT_CHANNEL_AXIS and node.op_type != "ConvTranspose" and node.input[1] in constants:
            rows = _rows(node, constants[node.input[1]])
            theirs = held.get(name.removesuffix(BEFORE_BIAS), held.get(name))  # a product and its bias are one node there
            bias = constants[node.input[2]] if len(node.input) > 2 else added.get(name)
            made = _made(LinearPart(scale_rows(rows, read, None), bias), theirs, node)
            if read is not None or (made != 1).any():
                changed[1] = _as_given(node, scale_rows(rows, read, made), constants[node.input[1]].shape)
                changed |= {2: constants[node.input[2]] * made} if len(node.input) > 2 else {}
        elif read is not None:
            made = read
            given = {place: constants[value] for place, value in enumerate(node.input) if value in constants}
            changed = {
                place: value * made for place, value in given.items() if node.op_type == "Add" and value.shape == made.shape
            }
        else:
            continue
        factors |= {output: made for output in node.output if (made != 1).any()}
        for place, values in changed.items():
            node.input[place] = f"{name}/equalized/{place}"
            result.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.input[place]))
    return result


def _held(model: onnx.ModelProto) -> dict[str, LinearPart]:
    """Weights of a QDQ model in its nodes' layout, and biases, as they are read, by the value that the float model makes with them."""
    from onnx import numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    weights, biases = dict[str, np.ndarray](), dict[str, np.ndarray]()
    for node in model.graph.node:
        name, parts = node.output[0], [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
        if node.op_type == "DequantizeLinear" and name.endswith((_WEIGHTS, _BIAS)) and len(parts) == 3:
            codes, scale, zero = (part.astype(np.float32) for part in parts)
            axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
            axes = [-1 if place == axis and scale.ndim else 1 for place in range(codes.ndim)]
            kind = biases if name.endswith(_BIAS) else weights
            kind[name.removesuffix(_BIAS).removesuffix(_WEIGHTS)] = (codes - zero.reshape(axes)) * scale.reshape(axes)
        elif node.op_type in WEIGHT_CHANNEL_AXIS and node.input[1] in constants:  # it stayed float
            weights[name] = parts[0]
            if len(parts) > 1:
                biases[name] = parts[1]
    return {name: LinearPart(values, biases.get(name)) for name, values in weights.items()}


def _made(given: LinearPart, held: LinearPart | None, node: onnx.NodeProto) -> np.ndarray:
    found = None if held is None else LinearPart(_rows(node, held.rows), held.bias)
    return np.ones(len(given.rows)) if found is None or found.rows.shape != given.rows.shape else powers_of_two(given, found)


def _rows(node: onnx.NodeProto, weights: np.ndarray) -> np.ndarray:
    """Weights [outputs, inputs per group, places] of a node."""
    first = weights if _is_first(node) else np.swapaxes(weights, 0, 1)
    return first.reshape(*first.shape[:2], -1)


def _as_given(node: onnx.NodeProto, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights in the layout of a node from the form of `_rows`."""
    return rows.reshape(shape) if _is_first(node) else np.swapaxes(rows[:, :, 0], 0, 1)


def _is_first(node: onnx.NodeProto) -> bool:
    """Whether the outputs are the first axis of a node's weights."""
    return node.op_type == "Conv" or any(item.name == "transB" and item.i for item in node.attribute)
