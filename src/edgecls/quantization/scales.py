"""Scales: what int8 codes are multiplied with, chosen so that every format holds them and every engine rounds alike.

Core ML stores scales and biases as float16, TFLite and ONNX as float32. A scale that is rounded in one format alone moves codes by one, and
networks amplify that layer by layer. So scales are raised to the next float16 number before anything is quantized, by less than 1/1000 of a
step, and biases rounded to float16: every format then holds the same real numbers.

XNNPACK and ONNX Runtime both rescale two int8 tensors and round their sum. XNNPACK multiplies with whole numbers of 21 bits and rounds a
half up; ONNX Runtime computes in float32 and rounds a half to the even code. Which pairs of codes they disagree on depends on the scales
alone: 0 to 0.5 % of them. Layers behind amplify each of these steps, until one image of a hundred has another winner. So the range of a sum
is widened by up to 1/40, to the first scale at which no pair of codes is left that they disagree on, or fewest.

Source: `xnn_init_qs8_add_minmax_scalar_params` and `MlasQLinearAddKernel`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgecls.quantization.ranges import Range

STEPS = 255  # between the lowest and the highest int8 code
HIGHEST = 127  # code of a channel's largest weight
_CANDIDATES = 24  # float16 numbers from a sum's scale upwards: each is at most 1/1024 larger than the one before
_CODES = np.arange(STEPS + 1)
_MULTIPLIER_BITS = 20
_CLUSTERS = 256  # most values that clustering leaves
_LEAST_RATIO, _MOST_RATIO = 2.0**-10, 2.0**8  # of a scale to the sum's, for which XNNPACK has a kernel
_LEAST_NORMAL, _MOST_NORMAL = 2.0**-14, 60000.0  # scales around which float16 has all its digits
# The range of a tensor that is always zero, as behind a dead ReLU: narrow, so that it widens no sum, and yet not so narrow that engines
# refuse to compute it from ordinary tensors or that a bias behind it does not fit into int32.
POINT_WIDTH = STEPS * _LEAST_NORMAL


def float16_scale(scale: npt.ArrayLike) -> np.ndarray:
    """The next float16 number that is no smaller, as float32.

    A scale stays as it is where the largest code would move by more than half a step: float16 overflows at 65504 and has few digits left
    below 6e-5, at 1.5e-5 too few.
    """
    exact = np.asarray(scale, np.float32)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float16)
        raised = np.where(nearest < exact, np.nextafter(nearest, np.float16(np.inf)), nearest).astype(np.float32)
    return np.where(raised <= exact * np.float32(1 + 0.5 / HIGHEST), raised, exact)


def is_float16(scale: npt.ArrayLike) -> np.ndarray:
    """Whether float16 holds a scale: no int8 code moves by more than half a step. Below 1.5e-5 few scales are, below 3e-8 none."""
    exact = np.asarray(scale, np.float32)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float16).astype(np.float32)
    return np.isfinite(nearest) & (np.abs(nearest - exact) <= exact * np.float32(0.5 / STEPS))


def float16_range(value: Range) -> Range:
    """The range whose int8 scale is the next float16 number, with the same zero point.

    Its ends are that scale times whole numbers of at most eight bits, exact in float32, so that the quantizer finds this very scale.

    Args:
        value: contains zero and is not a point.
    """
    exact = float((np.float32(value.high) - np.float32(value.low)) / np.float32(STEPS))
    scale = float(float16_scale(exact))
    return value if scale == exact else scaled_range(value, scale)


def scaled_range(value: Range, scale: float) -> Range:
    """The range of that scale with the zero point that lies nearest to the given one's."""
    below = int(np.clip(np.rint(-value.low / scale), 0, STEPS))  # codes below zero
    return Range(-below * scale, (STEPS - below) * scale)


def float16_bias(bias: np.ndarray) -> np.ndarray:
    """The nearest float16 numbers, as float32; those beyond float16 stay as they are."""
    with np.errstate(over="ignore"):
        nearest = bias.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(nearest), nearest, bias)


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


def settled_sum(first: Range, second: Range, total: Range) -> Range:
    """The range of a sum, widened until both engines agree on as many pairs of codes as can be.

    One that is far smaller than what is added, as a sum that is always zero, is widened to where the engines have kernels: LiteRT ends the
    process. It stays as it is where float16 has too few digits left to widen it by little.
    """
    parts = [_parameters(part)[0] for part in (first, second)]
    if max(parts) >= _MOST_RATIO * _parameters(total)[0]:
        total = scaled_range(total, float(float16_scale(2 * max(parts) / _MOST_RATIO)))
    scale = _parameters(total)[0]
    ratios = [part / scale for part in parts]
    if not all(_LEAST_RATIO <= ratio < _MOST_RATIO for ratio in ratios) or not _LEAST_NORMAL <= scale < _MOST_NORMAL:
        return total
    fewest, best, candidate = STEPS**2, total, total
    for _ in range(_CANDIDATES):
        found = disagreements(first, second, candidate)
        if found < fewest:
            fewest, best = found, candidate
        if not fewest:
            break
        candidate = widened(candidate)
    return best


def disagreements(first: Range, second: Range, total: Range) -> int:
    """How many pairs of codes both engines sum to other codes."""
    return int(np.count_nonzero(xnnpack_sums(first, second, total) != onnxruntime_sums(first, second, total)))


def widened(value: Range) -> Range:
    """The range of the next larger float16 scale."""
    scale = _parameters(value)[0]
    return scaled_range(value, float(np.nextafter(scale.astype(np.float16), np.float16(np.inf))))


def is_clustered(kernel: np.ndarray) -> bool:
    """Whether a kernel has so few values that they are shared, which they would no longer be if each channel were scaled for itself."""
    most = min(_CLUSTERS, kernel.size // 4)
    return all(len(np.unique(part)) <= most for part in (kernel.ravel()[: 4 * _CLUSTERS], kernel))  # few tell of most kernels


def _parameters(value: Range) -> tuple[np.float32, int]:
    """Scale and uint8 zero point of a range."""
    scale = (np.float32(value.high) - np.float32(value.low)) / np.float32(STEPS)
    return scale, int(np.clip(np.rint(-value.low / scale), 0, STEPS))
