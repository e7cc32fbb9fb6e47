"""Weight compression: stores the kernels of a float16 MIL program in the form a scheme asks for; everything else stays as it is.

Core ML decompresses `constexpr_*` operations when it loads a package, or while it computes. iOS 16 brought affine int8, tables for a
whole kernel and sparse kernels; iOS 18 scales for blocks, tables for groups of channels, 4-bit integers and sparse kernels whose nonzero
part is compressed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.converters.coreml.palette import palettize
from edgecls.errors import SchemeError
from edgecls.formats.coreml.read import WEIGHTED
from edgecls.records.artifact import Scheme

IOS18 = 9  # its specification version
SMALLEST = 10  # values; coremltools writes smaller constants into the program, where no compressed form is read
BLOCK = 32  # weights along the input channels that share an int4 scale
GROUP = 16  # output channels that share a table
# A group has a table of its own where it holds so many weights for each of the table's entries: tables then take 1 bit a weight at most.
WEIGHTS_PER_ENTRY = 16
MIN_SPARSITY = 0.2  # of all kernels together: a model with less was not pruned
SPARSE: tuple[Scheme, ...] = ("sparse", "sparse-palette4", "sparse-weight8")
AXES = {"conv": (0, 1), "conv_transpose": (1, 0), "linear": (0, 1)}  # output and input channels of a kernel


@dataclass(frozen=True)
class Kernel:
    """A constant that an operation multiplies its input with.

    Attributes:
        constant: the `const` operation.
        output_axis, input_axis: of its channels.
    """

    constant: Any
    output_axis: int
    input_axis: int

    @property
    def values(self) -> np.ndarray:
        """Of any rank from two on, float16."""
        return self.constant.outputs[0].val

    @property
    def sparsity(self) -> float:
        """Share of exact zeros."""
        return 1 - np.count_nonzero(self.values) / self.values.size


def compress_weights(program: Any, scheme: Scheme) -> None:
    """Change the kernels of a MIL program in place.

    Raises:
        SchemeError: a sparse scheme for a model that was not pruned.
    """
    function = program.functions["main"]
    version = int(function.opset_version)
    found = list(kernels(function))
    if scheme in SPARSE:
        _check_pruned(found)
    with function:
        for kernel in found:
            stored = _STORE[scheme](_Storage(kernel, version >= IOS18))
            if stored is not None:
                replace_constant(kernel.constant, stored)


def kernels(function: Any, smallest: int = SMALLEST) -> Iterator[Kernel]:
    """Kernels of so many values and more; one that several operations share comes once."""
    seen: set[str] = set()
    for operation in function.operations:
        if operation.op_type not in WEIGHTED:
            continue
        for name in ("weight", "x", "y"):
            var = operation.inputs.get(name)
            if var is None or var.op is None or var.op.op_type != "const" or var.name in seen:
                continue
            if var.rank < 2 or var.val.size < smallest:
                continue
            seen.add(var.name)
            yield Kernel(var.op, *_axes(operation, name, var.rank))


def _axes(operation: Any, name: str, rank: int) -> tuple[int, int]:
    if operation.op_type in AXES:
        return AXES[operation.op_type]
    turned = operation.inputs.get(f"transpose_{name}")  # matmul
    rows_are_outputs = (name == "x") != bool(turned is not None and turned.val)
    return (rank - 2, rank - 1) if rows_are_outputs else (rank - 1, rank - 2)


def replace_constant(constant: Any, var: Any) -> None:
    """Let every operation that takes a constant take another value of the same shape."""
    block = constant.enclosing_block
    block.replace_uses_of_var_after_op(
        anchor_op=constant, old_var=constant.outputs[0], new_var=var, no_check_var_types=True, force_replace=True
    )
    block.remove_ops([constant])


def _check_pruned(found: list[Kernel]) -> None:
    total = sum(kernel.values.size for kernel in found)
    zeros = sum(kernel.values.size - np.count_nonzero(kernel.values) for kernel in found)
    sparsity = zeros / total if total else 0.0
    if sparsity < MIN_SPARSITY:
        raise SchemeError(
            f"a pruned model for a sparse scheme: at least {MIN_SPARSITY:.0%} of its weights exactly zero",
            f"{sparsity:.1%}",
            "prune the model first, or choose palette4 or weight8",
        )


@dataclass(frozen=True)
class AffineWeights:
    """`weight = scale * code`.

    Attributes:
        codes: int8, of the kernel's shape.
        scale: of the kernel's rank; along each axis one for a block of equal length.
    """

    codes: np.ndarray
    scale: np.ndarray


def symmetric(values: np.ndarray, bits: int, block: tuple[int, ...]) -> AffineWeights:
    """Integers from -(2**(bits-1) - 1) on, one scale a block of the given shape."""
    highest = 2 ** (bits - 1) - 1
    split = [part for length, size in zip(values.shape, block, strict=True) for part in (length // size, size)]
    blocks = values.astype(np.float32).reshape(split)
    inside = tuple(range(1, 2 * values.ndim, 2))
    scale = (np.abs(blocks).max(axis=inside, keepdims=True) / highest).astype(values.dtype)
    steps = scale.astype(np.float32)  # as it is stored: a scale rounded to float16 has other codes
    codes = np.clip(np.rint(blocks / np.where(steps > 0, steps, 1)), -highest, highest)
    return AffineWeights(codes.astype(np.int8).reshape(values.shape), scale.reshape(split[::2]))


class _Storage:
    """The forms one kernel can be stored in. Each builds the operation that makes the kernel, or None where float16 takes less."""

    def __init__(self, kernel: Kernel, ios18: bool) -> None:
        self.kernel, self.values, self.ios18 = kernel, kernel.values, ios18
        self.mask = self.values != 0

    def channels(self) -> Any:
        """int8, one scale an output channel."""
        return store_affine(self.kernel, symmetric(self.values, 8, self._block(self.values.shape[self.kernel.input_axis])))

    def blocks(self) -> Any:
        """int4, one scale for BLOCK weights along the input channels, or for as many as divide them evenly."""
        from coremltools.converters.mil.mil import types

        length = self.values.shape[self.kernel.input_axis]
        size = max(size for size in range(1, min(length, BLOCK) + 1) if length % size == 0)
        affine = symmetric(self.values, 4, self._block(size if size * 4 >= BLOCK else length))
        return store_affine(self.kernel, AffineWeights(affine.codes.astype(types.np_int4_dtype), affine.scale))

    def table(self, bits: int) -> Any:
        """Indices into one table or, from iOS 18 on, into one for each group of output channels."""
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
        from coremltools.optimize import _utils as packing

        tables, indices = self._tables(bits, self.values)
        if tables.nbytes + indices.size * bits / 8 >= self.values.nbytes:
            return None
        place = self._place("palettized")
        if self.ios18:
            return mb.constexpr_lut_to_dense(indices=indices.astype(_index_dtype(bits)), lut=tables, **place)
        packed, shape = packing.pack_elements_into_bits(indices, bits), np.array(self.values.shape, np.uint32)
        return mb.constexpr_lut_to_dense(indices=packed, lut=tables.reshape(-1), shape=shape, **place)

    def sparse(self) -> Any:
        """A bit for each weight and the nonzero ones."""
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

        if not self._is_sparse_enough(16):
            return None
        place, nonzero = self._place("sparsified"), self.values[self.mask]
        if self.ios18:
            return mb.constexpr_sparse_to_dense(nonzero_data=nonzero, mask=self._mask_bits(), **place)
        mask, shape = np.packbits(self.mask, bitorder="little"), np.array(self.values.shape, np.uint32)
        return mb.constexpr_sparse_to_dense(nonzero_data=nonzero, mask=mask, shape=shape, **place)

    def sparse_table(self, bits: int) -> Any:
        """A bit for each weight and, for the nonzero ones, indices into one table."""
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

        if not self._is_sparse_enough(bits):
            return self.table(bits)
        palette = palettize(self.values[self.mask], bits)
        table = palette.table.reshape(*[1] * self.values.ndim, -1, 1)
        if table.nbytes + (palette.indices.size * bits + self.values.size) / 8 >= self.values.nbytes:
            return None
        indices = palette.indices.astype(_index_dtype(bits))
        place = {"before_op": self.kernel.constant}
        mask, nonzero = mb.constexpr_lut_to_sparse(
            indices_mask=self._mask_bits(), indices_nonzero_data=indices, lut=table, **place
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=nonzero, mask=mask, **self._place("sparsified"))

    def sparse_channels(self) -> Any:
        """A bit for each weight and, for the nonzero ones, int8 with one scale an output channel."""
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

        if not self._is_sparse_enough(8):
            return self.channels()
        affine = symmetric(self.values, 8, self._block(self.values.shape[self.kernel.input_axis]))
        mask, nonzero = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=self._mask_bits(),
            nonzero_data=affine.codes[self.mask],
            scale=affine.scale,
            before_op=self.kernel.constant,
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=nonzero, mask=mask, **self._place("sparsified"))

    def _tables(self, bits: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tables [1, …, groups, …, 1, 2**bits, 1] and indices of the kernel's shape."""
        axis, size = self.kernel.output_axis, 2**bits
        channels = values.shape[axis]
        each = values.size // channels * GROUP
        grouped = self.ios18 and channels % GROUP == 0 and each >= size * WEIGHTS_PER_ENTRY
        groups = np.split(values, channels // GROUP if grouped else 1, axis)
        palettes = [palettize(group, bits) for group in groups]
        shape = [len(groups) if place == axis else 1 for place in range(values.ndim)]
        tables = np.stack([palette.table for palette in palettes]).reshape(*shape, size, 1)
        return tables, np.concatenate([palette.indices for palette in palettes], axis)

    def _block(self, along_input: int) -> tuple[int, ...]:
        block = list(self.values.shape)
        block[self.kernel.output_axis], block[self.kernel.input_axis] = 1, along_input
        return tuple(block)

    def _is_sparse_enough(self, bits: int) -> bool:
        """Whether a bit a weight costs less than its zeros in `bits` bits each."""
        return self.kernel.sparsity * bits > 1

    def _mask_bits(self) -> np.ndarray:
        from coremltools.converters.mil.mil import types

        return self.mask.astype(types.np_uint1_dtype)

    def _place(self, suffix: str) -> dict[str, Any]:
        return {"before_op": self.kernel.constant, "name": f"{self.kernel.constant.name}_{suffix}"}


def store_affine(kernel: Kernel, affine: AffineWeights) -> Any:
    """The operation that makes a kernel of integers and scales, in the form of the program's operation set."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    constant = kernel.constant
    place = {"before_op": constant, "name": f"{constant.name}_quantized"}
    if int(constant.enclosing_block.opset_version) >= IOS18:
        return mb.constexpr_blockwise_shift_scale(data=affine.codes, scale=affine.scale, **place)
    scale = affine.scale.reshape(-1)
    return mb.constexpr_affine_dequantize(
        quantized_data=affine.codes, zero_point=np.zeros_like(scale, np.int8), scale=scale, axis=kernel.output_axis, **place
    )


def _index_dtype(bits: int) -> Any:
    from coremltools.converters.mil.mil import types

    return types.type_mapping.string_to_nptype(f"uint{bits}")


_STORE: dict[Scheme, Callable[[_Storage], Any]] = {
    "weight8": _Storage.channels,
    "weight4": _Storage.blocks,
    "palette8": lambda storage: storage.table(8),
    "palette6": lambda storage: storage.table(6),
    "palette4": lambda storage: storage.table(4),
    "palette2": lambda storage: storage.table(2),
    "sparse": _Storage.sparse,
    "sparse-palette4": lambda storage: storage.sparse_table(4),
    "sparse-weight8": _Storage.sparse_channels,
}
