"""Half: int8 parameters that float16 holds exactly.

Core ML stores scales and biases as float16, TFLite and ONNX as float32. A scale that is rounded in one format alone moves codes by one, and
networks amplify that layer by layer. So scales are raised to the next float16 number before anything is quantized, by less than 1/1000 of a
step, and biases rounded to float16: every format then holds the same real numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgecls.converters.constants import WEIGHT_CHANNEL_AXIS, float_values, replace_constant
from edgecls.ranges import Range

STEPS = 255  # between the lowest and the highest int8 code
HIGHEST = 127  # code of a channel's largest weight


def half_scale(scale: npt.ArrayLike) -> np.ndarray:
    """The next float16 number that is no smaller, as float32.

    A scale stays as it is where the largest code would move by more than half a step: float16 overflows at 65504 and has few digits left
    below 6e-5, at 1.5e-5 too few.
    """
    exact = np.asarray(scale, np.float32)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float16)
        raised = np.where(nearest < exact, np.nextafter(nearest, np.float16(np.inf)), nearest).astype(np.float32)
    return np.where(raised <= exact * np.float32(1 + 0.5 / HIGHEST), raised, exact)


def half_range(value: Range) -> Range:
    """The range whose int8 scale is the next float16 number, with the same zero point.

    Its ends are that scale times whole numbers of at most eight bits, exact in float32, so that the quantizer finds this very scale.

    Args:
        value: contains zero and is not a point.
    """
    exact = float((np.float32(value.high) - np.float32(value.low)) / np.float32(STEPS))
    scale = float(half_scale(exact))
    return value if scale == exact else scaled_range(value, scale)


def scaled_range(value: Range, scale: float) -> Range:
    """The range of that scale with the zero point that lies nearest to the given one's."""
    below = int(np.clip(np.rint(-value.low / scale), 0, STEPS))  # codes below zero
    return Range(-below * scale, (STEPS - below) * scale)


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


def half_bias(bias: np.ndarray) -> np.ndarray:
    """The nearest float16 numbers, as float32; those beyond float16 stay as they are."""
    with np.errstate(over="ignore"):
        nearest = bias.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(nearest), nearest, bias)


def _with_half_scales(weights: np.ndarray, axis: int) -> np.ndarray:
    by_channel = np.moveaxis(weights, axis, 0)
    rows = by_channel.reshape(len(by_channel), -1).copy()
    places = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
    largest = rows[places]
    scale = np.abs(largest) / np.float32(HIGHEST)
    raised = half_scale(scale)
    rows[places] = np.where(raised == scale, largest, np.copysign(raised * np.float32(HIGHEST), largest))
    return np.ascontiguousarray(np.moveaxis(rows.reshape(by_channel.shape), 0, axis), np.float32)
