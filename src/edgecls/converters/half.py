"""Half: a TFLite model whose int8 parameters float16 holds exactly; see `edgecls.scales`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.converters.constants import WEIGHT_CHANNEL_AXIS, float_values, replace_constant
from edgecls.scales import HIGHEST, half_bias, half_scale


def halve_constants(model: bytes, float_layers: Collection[str] = ()) -> bytes:
    """A float32 TFLite model whose kernels get float16 scales, one for each output channel, and whose biases are float16 numbers.

    The largest weight of each channel becomes 127 times its scale, an eighth of a step more at most where float16 has all its digits.

    Args:
        float_layers: outputs of operations that stay float, and so as they are.
    """
    unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = unpacked.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
    for operator in graph.operators:
        axis = WEIGHT_CHANNEL_AXIS.get(codes[operator.opcodeIndex])
        if axis is None or graph.tensors[operator.outputs[0]].name.decode() in float_layers:
            continue
        weights = float_values(unpacked, graph.tensors[operator.inputs[1]])
        if weights is None:
            continue
        replace_constant(unpacked, operator, 1, _with_half_scales(weights, axis))
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            bias = float_values(unpacked, graph.tensors[operator.inputs[2]])
            if bias is not None:
                replace_constant(unpacked, operator, 2, half_bias(bias))
    builder = flatbuffers.Builder(len(model) + 2**16)
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _with_half_scales(weights: np.ndarray, axis: int) -> np.ndarray:
    by_channel = np.moveaxis(weights, axis, 0)
    rows = by_channel.reshape(len(by_channel), -1).copy()
    places = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
    largest = rows[places]
    scale = np.abs(largest) / np.float32(HIGHEST)
    raised = half_scale(scale)
    rows[places] = np.where(raised == scale, largest, np.copysign(raised * np.float32(HIGHEST), largest))
    return np.ascontiguousarray(np.moveaxis(rows.reshape(by_channel.shape), 0, axis), np.float32)
