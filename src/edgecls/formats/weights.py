"""Weight: one constant of a file, and what is counted of it; the same for all formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.formats.description import Layer

_MOST_DISTINCT = 256  # as a byte can tell apart
_FIRST_LOOK = 4096
_BLOCK = 1 << 22  # elements compared at once, so that no mask of a whole large layer is held


@dataclass(frozen=True)
class Weight:
    """A constant that an operation computes with.

    Attributes:
        size_bytes: in the file.
        rank: number of axes; a kernel has two or more, a bias or a per-channel vector one.
        values: as stored, of the constant's shape; None where NumPy has no such dtype.
        zero_points: none (float), one, or one per index of `axis`.
        count_zeros: finds the number of exact zeros where there are no values to tell it from: of tables, masks and small integers.
    """

    dtype: str
    elements: int
    size_bytes: int
    rank: int
    values: np.ndarray | None
    zero_points: np.ndarray
    axis: int
    count_zeros: Callable[[], int] | None = None

    @property
    def zeros(self) -> int:
        """Number of elements that stand for exactly zero."""
        if self.values is None:
            return self.count_zeros() if self.count_zeros else 0
        if not self.zero_points.any():
            return self.elements - int(np.count_nonzero(self.values))
        if self.zero_points.size == 1:
            flat = self.values.reshape(-1)
            blocks = range(0, flat.size, _BLOCK)
            return sum(int(np.count_nonzero(flat[start : start + _BLOCK] == self.zero_points[0])) for start in blocks)
        rows = np.moveaxis(self.values, self.axis, 0)
        return sum(int(np.count_nonzero(row == zero)) for row, zero in zip(rows, self.zero_points.reshape(-1), strict=True))


def elements_by_dtype(weights: Sequence[Weight]) -> dict[str, int]:
    """dtype -> number of elements stored in it."""
    counts: Counter[str] = Counter()
    for weight in weights:
        counts[weight.dtype] += weight.elements
    return dict(counts)


def sparsity_of(weights: Sequence[Weight]) -> float:
    """Share of the kernels' elements that are exactly zero, 0..1. Biases and per-channel vectors are no kernels."""
    kernels = [weight for weight in weights if weight.rank > 1 and (weight.values is not None or weight.count_zeros is not None)]
    total = sum(kernel.elements for kernel in kernels)
    return sum(kernel.zeros for kernel in kernels) / total if total else 0.0


def distinct_values_of(layers: Sequence[tuple[Layer, Sequence[Weight]]]) -> dict[str, int]:
    """Layer -> number of different values stored in its kernel, for kernels of few enough that sharing them saves room."""
    counts = {layer.name: _distinct(weight.values) for layer, weights in layers for weight in weights if weight.rank > 1}
    return {name: count for name, count in counts.items() if count is not None}


def _distinct(values: np.ndarray | None) -> int | None:
    """Number of different values, None where they are more than `_MOST_DISTINCT`; most kernels show that in their first few."""
    if values is None:
        return None
    flat, found = values.reshape(-1), np.empty(0, f"u{values.dtype.itemsize}")
    start, size = 0, _FIRST_LOOK
    while start < flat.size:
        bits = (flat[start : start + size] + values.dtype.type(0)).view(
            found.dtype
        )  # -0 becomes 0; NumPy 2.4 missorts float16 itself
        found = np.union1d(found, bits)
        if len(found) > _MOST_DISTINCT:
            return None
        start, size = start + size, _BLOCK
    return len(found)


def layer_of(name: str, operation: str, weights: Sequence[Weight]) -> Layer:
    """One operation's constants, added up."""
    return Layer(
        name=name,
        operation=operation,
        elements=sum(weight.elements for weight in weights),
        size_bytes=sum(weight.size_bytes for weight in weights),
        dtype=max(weights, key=lambda weight: weight.elements).dtype,
        sparsity=sparsity_of(weights),
    )
