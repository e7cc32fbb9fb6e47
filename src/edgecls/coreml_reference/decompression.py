"""What the `constexpr_*` operations stand for: weights that are stored quantized, as a palette, sparse, or jointly so.

The arithmetic is that of coremltools' own functions (`coremltools.optimize._utils` and the operations' `decompress`), to the bit, in the
dtypes that they compute in; their import takes seconds and loads TensorFlow, so they are the tests' oracle, not a dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgecls.formats.reading import DamagedError

_FLAT_BITS = {2: 1, 4: 2, 16: 4, 64: 6, 256: 8}  # entries of a palette -> bits of an index


def decompress(kind: str, arguments: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """The outputs of a `constexpr_*` operation.

    Args:
        kind: the operation's type.
        arguments: parameter -> array (or text); integers of less than a byte as int8 or uint8.

    Returns:
        One array; of the two operations that stay sparse (`constexpr_lut_to_sparse`, `constexpr_sparse_blockwise_shift_scale`) the mask
        and the values where it is set.

    Raises:
        DamagedError: an unknown operation, parameter, or arrays that do not fit each other.
    """
    if kind not in _FUNCTIONS:
        raise DamagedError(f"weights stored by the unknown operation {kind[:60]!r}")
    try:
        found = _FUNCTIONS[kind](**arguments)
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise DamagedError(f"the weights of an operation {kind} do not fit each other: {str(error)[:80]}") from None
    return found if isinstance(found, tuple) else (found,)


def _affine(quantized_data: np.ndarray, zero_point: np.ndarray, scale: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """scale * (quantized_data - zero_point), scale and zero_point single or one per index of `axis`; float32, then scale's dtype."""
    values = quantized_data.astype(np.float32)
    values -= _along(zero_point, values.ndim, int(axis)).astype(np.float32)
    values *= _along(scale, values.ndim, int(axis))
    return values.astype(scale.dtype)


def _along(parameter: np.ndarray, rank: int, axis: int) -> np.ndarray:
    shape = [1] * rank
    if parameter.ndim:
        shape[axis] = parameter.size
    return parameter.reshape(shape)


def _blockwise(data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
    """scale * (data - offset), each of scale and offset for one block of the data; in scale's dtype."""
    values = data.astype(scale.dtype)
    scales = _spread(scale, data.shape)
    if offset is not None:
        values = values - _spread(offset, data.shape)
    return scales * values


def _spread(parameter: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat each entry over its block, so that the result has `shape` or broadcasts to it."""
    if parameter.ndim != len(shape):
        raise ValueError(f"{parameter.ndim} axes of blocks over {len(shape)} axes of data")
    for axis, (blocks, size) in enumerate(zip(parameter.shape, shape, strict=True)):
        if size % blocks:
            raise ValueError(f"{size} values in {blocks} blocks")
        if blocks not in (1, size):
            parameter = np.repeat(parameter, size // blocks, axis)
    return parameter


def _flat_palette(indices: np.ndarray, lut: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """iOS 16: one palette, indices packed into bytes."""
    if lut.size not in _FLAT_BITS:
        raise ValueError(f"a palette of {lut.size} entries")
    bits, elements = _FLAT_BITS[lut.size], int(np.prod(shape, dtype=np.int64))
    each = np.unpackbits(indices.view(np.uint8), count=elements * bits, bitorder="little").reshape(elements, bits)
    return lut[np.packbits(each, axis=1, bitorder="little")[:, 0]].reshape(shape)


def _palette(
    indices: np.ndarray, lut: np.ndarray, shape: np.ndarray | None = None, vector_axis: np.ndarray | None = None
) -> np.ndarray:
    """iOS 18: a palette for each block of the indices, of single values or of vectors laid along `vector_axis`."""
    if shape is not None:
        return _flat_palette(indices, lut, shape)
    rank = indices.ndim
    if lut.ndim != rank + 2:
        raise ValueError(f"palettes of {lut.ndim} axes for indices of {rank}")
    length = lut.shape[-1]
    if length > 1 and vector_axis is None:
        raise ValueError("vectors without an axis to lie along")
    numbers = np.arange(int(np.prod(lut.shape[:rank]))).reshape(lut.shape[:rank])
    chosen = lut.reshape(-1, *lut.shape[-2:])[_spread(numbers, indices.shape), indices]  # [*indices.shape, length]
    if length == 1:
        return chosen[..., 0]
    axis = int(vector_axis) % rank  # type: ignore[arg-type]  # there is one, see above
    merged = [size * length if index == axis else size for index, size in enumerate(indices.shape)]
    return np.moveaxis(chosen, -1, axis + 1).reshape(merged)


def _dense(nonzero_data: np.ndarray, mask: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """The values where the mask is set, zero elsewhere; with `shape` (iOS 16) the mask's bits are packed into bytes."""
    if shape is not None:
        elements = int(np.prod(shape, dtype=np.int64))
        mask = np.unpackbits(mask.view(np.uint8), count=elements, bitorder="little").reshape(shape)
    values = np.zeros(mask.shape, nonzero_data.dtype)
    values[mask != 0] = nonzero_data
    return values


def _sparse_palette(
    indices_mask: np.ndarray, indices_nonzero_data: np.ndarray, lut: np.ndarray, vector_axis: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    values = _palette(_dense(indices_nonzero_data, indices_mask), lut, vector_axis=vector_axis)
    mask = indices_mask if vector_axis is None else np.repeat(indices_mask, lut.shape[-1], axis=int(vector_axis))
    return mask, values[mask != 0]


def _sparse_blockwise(
    data_mask: np.ndarray, nonzero_data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    return data_mask, _blockwise(_dense(nonzero_data, data_mask), scale, offset)[data_mask != 0]


def _cast(source_val: np.ndarray, output_dtype: str) -> np.ndarray:
    if output_dtype != "fp32":
        raise ValueError(f"a cast to {output_dtype}")
    return source_val.astype(np.float32)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _palette,
    "constexpr_sparse_to_dense": _dense,
    "constexpr_lut_to_sparse": _sparse_palette,
    "constexpr_sparse_blockwise_shift_scale": _sparse_blockwise,
    "constexpr_cast": _cast,
}
COMPRESSED = frozenset(_FUNCTIONS)
