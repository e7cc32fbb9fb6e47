"""Codes: int8 values as the ONNX and Core ML files hold them, in these formats' axis orders."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecls.quantization.parameters import Affine
from edgecls.quantization.scales import HIGHEST

LOWEST = -128
UNSIGNED = 128  # from an int8 code to the uint8 code of the same value
# Axis orders that turn TFLite's weights into ONNX's: OHWI and 1HWO -> OIHW (transposed convolutions: IOHW); [out, in] -> Gemm's.
_LAYOUTS = {4: ((0, 3, 1, 2), (3, 0, 1, 2)), 2: ((0, 1), (1, 0))}


def unsigned(codes: np.ndarray) -> np.ndarray:
    """The uint8 codes of the same values."""
    return (codes.astype(np.int16) + UNSIGNED).astype(np.uint8)


def encode(values: np.ndarray, affine: Affine, axis: int | None) -> np.ndarray:
    """int8 codes of float values."""
    scale, zero_point = _spread_over(affine, values.ndim, axis)
    lowest = -HIGHEST if not affine.zero_point.any() else LOWEST  # symmetric weights leave -128 unused, as TFLite does
    return np.clip(np.rint(values / scale) + zero_point, lowest, HIGHEST).astype(np.int8)


def in_layout(codes: np.ndarray | None, values: np.ndarray, affine: Affine, axis: int) -> np.ndarray:
    """TFLite's codes in the axis order of the ONNX weights; found by trying the orders that occur.

    Where ONNX has other weights altogether (a factor folded into them), they are encoded anew with TFLite's scales.
    """
    best, best_error = encode(values, affine, axis), np.inf
    scale, zero_point = _spread_over(affine, values.ndim, axis)
    for moved in weight_orders(codes, values.shape) if codes is not None else ():
        error = float(np.mean(np.abs((moved - zero_point) * scale - values)))
        if error < best_error and error <= float(np.mean(scale)):  # codes are within half a step of their values
            best, best_error = np.ascontiguousarray(moved), error
    return best


def weight_orders(codes: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """TFLite's weights in those of the axis orders other formats have that give this shape."""
    for order in _LAYOUTS.get(codes.ndim, ()):
        if len(shape) == codes.ndim and tuple(codes.shape[place] for place in order) == shape:
            yield codes.transpose(order)


def _spread_over(affine: Affine, rank: int, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point, shaped to broadcast along an axis."""
    shape = [-1 if index == axis else 1 for index in range(rank)] if len(affine.scale) > 1 else []
    return affine.scale.reshape(shape), affine.zero_point.astype(np.float32).reshape(shape)
