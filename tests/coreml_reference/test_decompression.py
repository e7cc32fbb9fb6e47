"""Compressed weights, decompressed: bit for bit what coremltools' own functions say, from arrays and from packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.coreml_reference import open_program
from edgecls.coreml_reference.decompression import COMPRESSED, decompress
from edgecls.formats.reading import DamagedError
from edgecls.system.extras import require
from mil_packages import build, write

RNG = np.random.default_rng(0)
BITS = {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6, "uint8": 8}
SHAPE = (4, 6, 3)


def mask() -> np.ndarray:
    return RNG.integers(0, 2, SHAPE).astype(np.uint8)


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Values packed into bytes from the least significant bit on."""
    each = np.unpackbits(values.reshape(-1, 1).astype(np.uint8), axis=1, bitorder="little")[:, :bits]
    return np.packbits(each.reshape(-1), bitorder="little")


def float_pair() -> list[Any]:
    return [np.float16, np.float32]


def cases() -> list[tuple[str, str, dict[str, np.ndarray]]]:
    """(version, operation, arguments)"""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for dtype in float_pair():
        for stored, zero in ((np.int8, np.int8(-3)), (np.uint8, np.uint8(130)), (np.int8, np.float32(0.5))):
            data = RNG.integers(np.iinfo(stored).min, np.iinfo(stored).max + 1, SHAPE).astype(stored)
            for axis in (0, 1, -1):
                size = SHAPE[axis]
                scale, zeros = RNG.uniform(0.01, 0.2, size).astype(dtype), np.repeat(zero, size)
                arguments = {"quantized_data": data, "scale": scale, "zero_point": zeros, "axis": np.int32(axis)}
                found.append(("iOS16", "constexpr_affine_dequantize", arguments))
            single = {"quantized_data": data, "scale": dtype(0.037), "zero_point": zero, "axis": np.int32(0)}
            found.append(("iOS16", "constexpr_affine_dequantize", single))
        for blocks in ((4, 1, 1), (1, 1, 1), (4, 3, 1), (2, 2, 3)):
            scale = RNG.uniform(0.01, 0.2, blocks).astype(dtype)
            for stored in (np.int8, np.uint8):
                data = RNG.integers(np.iinfo(stored).min, np.iinfo(stored).max + 1, SHAPE).astype(stored)
                offset = RNG.integers(-3 if stored == np.int8 else 0, 9, blocks).astype(stored)
                found.append(("iOS18", "constexpr_blockwise_shift_scale", {"data": data, "scale": scale}))
                found.append(("iOS18", "constexpr_blockwise_shift_scale", {"data": data, "scale": scale, "offset": offset}))
            chosen = mask()
            nonzero = RNG.integers(-128, 128, int(chosen.sum())).astype(np.int8)
            found.append(
                (
                    "iOS18",
                    "constexpr_sparse_blockwise_shift_scale",
                    {"data_mask": chosen, "nonzero_data": nonzero, "scale": scale},
                )
            )
        for bits in (1, 2, 4, 6, 8):
            indices = RNG.integers(0, 2**bits, SHAPE)
            flat = {
                "indices": packed(indices, bits),
                "lut": RNG.normal(size=2**bits).astype(dtype),
                "shape": np.array(SHAPE, np.uint32),
            }
            found.append(("iOS16", "constexpr_lut_to_dense", flat))
        for bits in BITS.values():
            indices = RNG.integers(0, 2**bits, SHAPE).astype(np.uint8)
            for groups in ((1, 1, 1), (4, 1, 1), (2, 1, 3), (1, 3, 1)):
                lut = RNG.normal(size=(*groups, 2**bits, 1)).astype(dtype)
                found.append(("iOS18", "constexpr_lut_to_dense", {"indices": indices, "lut": lut}))
            for axis in (0, 1, 2, -1, -2):
                vectors = RNG.normal(size=(1, 1, 1, 2**bits, 2)).astype(dtype)
                found.append(
                    ("iOS18", "constexpr_lut_to_dense", {"indices": indices, "lut": vectors, "vector_axis": np.int32(axis)})
                )
            chosen = mask()
            nonzero = RNG.integers(0, 2**bits, int(chosen.sum())).astype(np.uint8)
            sparse = {
                "indices_mask": chosen,
                "indices_nonzero_data": nonzero,
                "lut": RNG.normal(size=(4, 1, 1, 2**bits, 1)).astype(dtype),
            }
            found.append(("iOS18", "constexpr_lut_to_sparse", sparse))
            vectors = {**sparse, "lut": RNG.normal(size=(1, 1, 1, 2**bits, 3)).astype(dtype), "vector_axis": np.int32(1)}
            found.append(("iOS18", "constexpr_lut_to_sparse", vectors))
        chosen = mask()
        nonzero = RNG.normal(size=int(chosen.sum())).astype(dtype)
        found.append(("iOS18", "constexpr_sparse_to_dense", {"nonzero_data": nonzero, "mask": chosen}))
        flat = {"nonzero_data": nonzero, "mask": packed(chosen, 1), "shape": np.array(SHAPE, np.uint32)}
        found.append(("iOS16", "constexpr_sparse_to_dense", flat))
    return found


def oracle(version: str, kind: str, arguments: dict[str, Any]) -> tuple[np.ndarray, ...]:
    require("coremltools")
    from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_ops
    from coremltools.converters.mil.mil.ops.defs.iOS18 import compression

    module = constexpr_ops if version == "iOS16" else compression
    optional = {"constexpr_blockwise_shift_scale": "offset", "constexpr_sparse_blockwise_shift_scale": "offset"}.get(
        kind, "vector_axis"
    )
    needs = {"constexpr_blockwise_shift_scale", "constexpr_sparse_blockwise_shift_scale", "constexpr_lut_to_sparse"}
    more = {optional: None} if kind in needs or (kind == "constexpr_lut_to_dense" and version == "iOS18") else {}
    found = getattr(module, kind).decompress(**{**more, **arguments})
    return found if isinstance(found, tuple) else (found,)


def test_every_operation_to_the_bit():
    proven = set()
    for version, kind, arguments in cases():
        for ours, theirs in zip(decompress(kind, arguments), oracle(version, kind, arguments), strict=True):
            assert ours.dtype == theirs.dtype, (version, kind)
            assert ours.shape == theirs.shape, (version, kind)
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{version} {kind}")
        proven.add(kind)
    half = RNG.normal(size=SHAPE).astype(np.float16)
    np.testing.assert_array_equal(
        decompress("constexpr_cast", {"source_val": half, "output_dtype": "fp32"})[0], half.astype(np.float32)
    )
    assert proven | {"constexpr_cast"} == COMPRESSED


@pytest.mark.parametrize("dtype", ["int4", "uint4", *BITS])
def test_integers_of_less_than_a_byte_from_a_package(dtype: str, tmp_path: Path):
    """Written by coremltools' own writer, in the weight file and, for the small one, in the program itself."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    shifted = dtype in ("int4", "uint4")
    low, high = (-8, 8) if dtype == "int4" else (0, 2 ** BITS.get(dtype, 4))
    numpy_dtype = types.nptype_from_builtin(types.string_to_builtin(dtype))
    weights = []

    def block(x: Any) -> Any:
        result = x
        for shape in ((7, 31), (7, 1)):
            data = RNG.integers(low, high, shape).astype(numpy_dtype)
            if shifted:
                scale = RNG.uniform(0.1, 1, (7, 1)).astype(np.float32)
                weight = mb.constexpr_blockwise_shift_scale(data=data, scale=scale)
            else:
                weight = mb.constexpr_lut_to_dense(indices=data, lut=RNG.normal(size=(1, 1, high, 1)).astype(np.float32))
            weights.append(weight.op.materialized_val_inference())
            result = mb.add(x=result, y=weight)
        return result

    program = open_program(write(build(block, {"x": ((7, 31), "float32")}, "iOS18"), tmp_path, "iOS18"))
    found = program.run(np.zeros((1, 7, 31), np.float32))[program.outputs[0]][0]
    np.testing.assert_allclose(found, weights[0] + weights[1], rtol=1e-6)


def test_sparse_weights_pass_through_two_operations(tmp_path: Path):
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    uint1 = types.nptype_from_builtin(types.string_to_builtin("uint1"))
    uint2 = types.nptype_from_builtin(types.string_to_builtin("uint2"))
    chosen = RNG.integers(0, 2, (8, 16)).astype(uint1)
    nonzero = RNG.integers(0, 4, int(np.count_nonzero(chosen))).astype(uint2)
    lut = RNG.normal(size=(8, 1, 4, 1)).astype(np.float32)
    dense: list[np.ndarray] = []

    def block(x: Any) -> Any:
        sparse_mask, values = mb.constexpr_lut_to_sparse(indices_mask=chosen, indices_nonzero_data=nonzero, lut=lut)
        weight = mb.constexpr_sparse_to_dense(nonzero_data=values, mask=sparse_mask)
        dense.append(weight.op.materialized_val_inference())
        return mb.linear(x=x, weight=weight)

    program = open_program(write(build(block, {"x": ((1, 16), "float32")}, "iOS18"), tmp_path, "iOS18"))
    x = RNG.normal(size=(3, 16)).astype(np.float32)
    np.testing.assert_allclose(program.run(x)[program.outputs[0]], x @ dense[0].T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("constexpr_unheard_of", {}),
        ("constexpr_lut_to_dense", {"indices": np.zeros((2, 2), np.uint8), "lut": np.zeros((1, 2, 1), np.float32)}),
        ("constexpr_lut_to_dense", {"indices": np.full((2, 2), 9, np.uint8), "lut": np.zeros((1, 1, 2, 1), np.float32)}),
        ("constexpr_sparse_to_dense", {"nonzero_data": np.zeros(3, np.float32), "mask": np.ones((2, 2), np.uint8)}),
        ("constexpr_blockwise_shift_scale", {"data": np.zeros((4, 3), np.int8), "scale": np.ones((3, 1), np.float32)}),
        ("constexpr_affine_dequantize", {"quantized_data": np.zeros((4, 3), np.int8)}),
    ],
)
def test_what_does_not_fit_is_damage(kind: str, arguments: dict[str, np.ndarray]):
    with pytest.raises(DamagedError):
        decompress(kind, arguments)
