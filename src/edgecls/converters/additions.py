"""Additions: scales with which XNNPACK and ONNX Runtime add the same codes to the same code.

Both rescale two int8 tensors and round their sum. XNNPACK multiplies with whole numbers of 21 bits and rounds a half up; ONNX Runtime
computes in float32 and rounds a half to the even code. Which pairs of codes they disagree on depends on the scales alone: 0 to 0.5 % of
them. Layers behind amplify each of these steps, until one image of a hundred has another winner. So the range of a sum is widened by up to
1/40, to the first scale at which no pair of codes is left that they disagree on, or fewest.

Source: `xnn_init_qs8_add_minmax_scalar_params` and `MlasQLinearAddKernel`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecls.converters.half import STEPS, scaled_range
from edgecls.ranges import Range

SAME_PARAMETERS = (
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
    "PAD",
    "PADV2",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "STRIDED_SLICE",
    "SLICE",
)  # operations whose output has the scale of their input
_CANDIDATES = 24  # float16 numbers from the scale upwards: each is at most 1/1024 larger than the one before
_CODES = np.arange(STEPS + 1)
_MULTIPLIER_BITS = 20


class Additions:
    """The sums of two activations in a float TFLite model.

    Args:
        model: float32 TFLite model.
    """

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        graph = unpacked.subgraphs[0]
        kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
        names = [tensor.name.decode() for tensor in graph.tensors]
        self._sums: list[tuple[str, str, str]] = []
        origin: dict[str, Any] = {}  # tensor -> the one whose scale it has
        for operator in graph.operators:
            kind, inputs = kinds[codes[operator.opcodeIndex]], [names[index] for index in operator.inputs if index >= 0]
            if kind in SAME_PARAMETERS:
                origin[names[operator.outputs[0]]] = origin.get(inputs[0], inputs[0])
            elif kind == "ADD":
                first, second = (origin.get(name, name) for name in inputs)
                self._sums.append((first, second, names[operator.outputs[0]]))

    def settle(self, ranges: Mapping[str, Range]) -> dict[str, Range]:
        """The same ranges, those of sums widened where that lets both engines agree.

        Args:
            ranges: of every activation by its tensor's name; each contains zero and is not a point.
        """
        settled = dict(ranges)
        for first, second, total in self._sums:  # in order: a sum may be added to again
            if first in settled and second in settled and total in settled:
                settled[total] = _settled(settled[first], settled[second], settled[total])
        return settled


def xnnpack_sums(first: Range, second: Range, total: Range) -> np.ndarray:
    """uint8 code of the sum of each pair of uint8 codes [256, 256]: (sum of code * multiplier + half) >> shift."""
    (first_scale, first_zero), (second_scale, second_zero), (scale, zero) = map(_parameters, (first, second, total))
    ratios = float(first_scale / scale), float(second_scale / scale)
    shift = _MULTIPLIER_BITS - math.floor(math.log2(max(ratios)))
    multipliers = [round(ratio * 2.0**shift) for ratio in ratios]
    sums = multipliers[0] * (_CODES[:, None] - first_zero) + multipliers[1] * (_CODES - second_zero)
    return np.clip(((sums + (1 << (shift - 1))) >> shift) + zero, 0, STEPS)


def onnxruntime_sums(first: Range, second: Range, total: Range) -> np.ndarray:
    """The same by fused multiply-adds in float32, each rounded once; float64 holds every product exactly."""
    (first_scale, first_zero), (second_scale, second_zero), (scale, zero) = map(_parameters, (first, second, total))
    ratios = first_scale / scale, second_scale / scale
    zeros = float(ratios[0]) * first_zero + float(np.float32(ratios[1] * np.float32(second_zero)))
    fixed = np.float32(zero) - np.float32(zeros)
    inner = (_CODES * float(ratios[1]) + float(fixed)).astype(np.float32)
    sums = (_CODES[:, None] * float(ratios[0]) + inner.astype(np.float64)).astype(np.float32)
    return np.clip(np.rint(sums), 0, STEPS)


def _settled(first: Range, second: Range, total: Range) -> Range:
    fewest, best, candidate = STEPS**2, total, total
    for _ in range(_CANDIDATES):
        ranges = first, second, candidate
        found = int(np.count_nonzero(xnnpack_sums(*ranges) != onnxruntime_sums(*ranges)))
        if found < fewest:
            fewest, best = found, candidate
        if not fewest:
            break
        scale = _parameters(candidate)[0]
        candidate = scaled_range(candidate, float(np.nextafter(scale.astype(np.float16), np.float16(np.inf))))
    return best


def _parameters(value: Range) -> tuple[np.float32, int]:
    """Scale and uint8 zero point of a range."""
    scale = (np.float32(value.high) - np.float32(value.low)) / np.float32(STEPS)
    return scale, int(np.clip(np.rint(-value.low / scale), 0, STEPS))
