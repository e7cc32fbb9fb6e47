"""Sound packages as coremltools and others write them, which no reader may call damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.coreml_reference import open_program
from edgecls.formats import describe
from edgecls.formats.coreml.read import open_package
from mil_packages import build, write

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("pruned", [False, True])
def test_palettes_whose_tables_are_quantized(pruned: bool, shifted: bool, tmp_path: Path) -> None:
    """As `palettize_weights` and `linear_quantize_weights(joint_compression=True)` leave them, with pruning before or without."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    uint4, uint1 = (types.nptype_from_builtin(types.string_to_builtin(name)) for name in ("uint4", "uint1"))
    indices, codes = RNG.integers(0, 16, (8, 16)), RNG.integers(-128, 128, (1, 1, 16, 1)).astype(np.int8)
    codes[0, 0, 3] = 0
    scale, offset = np.full((1, 1, 1, 1), 0.01, np.float32), np.full((1, 1, 1, 1), 5, np.int8)
    mask = RNG.integers(0, 2, (8, 16)) if pruned else np.ones((8, 16), np.int64)

    def block(x: Any) -> Any:
        more = {"offset": offset} if shifted else {}
        lut = mb.constexpr_blockwise_shift_scale(data=codes, scale=scale, **more)
        if not pruned:
            return mb.linear(x=x, weight=mb.constexpr_lut_to_dense(indices=indices.astype(uint4), lut=lut))
        chosen = indices[mask == 1].astype(uint4)
        kept, values = mb.constexpr_lut_to_sparse(indices_mask=mask.astype(uint1), indices_nonzero_data=chosen, lut=lut)
        return mb.linear(x=x, weight=mb.constexpr_sparse_to_dense(nonzero_data=values, mask=kept))

    path = write(build(block, {"x": ((1, 16), "float32")}, "iOS18"), tmp_path, "iOS18")
    table = (codes - (offset.astype(np.float32) if shifted else 0)) * scale
    weight = table.reshape(-1)[indices] * mask
    x = RNG.normal(size=(3, 16)).astype(np.float32)
    program = open_program(path)
    np.testing.assert_allclose(program.run(x)[program.outputs[0]], x @ weight.T.astype(np.float32), rtol=1e-5, atol=1e-5)
    weights = [found for found in open_package(path).constants.values() if "palette4" in found.dtype]
    assert [found.elements for found in weights] == [128]
    if not shifted and not pruned:
        assert weights[0].zeros == np.count_nonzero(weight == 0)


def test_an_axis_counted_from_the_end(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    codes, scale, zero = RNG.integers(-9, 9, (4, 6)).astype(np.int8), np.linspace(0.1, 1, 6).astype(np.float32), np.arange(6)

    def block(x: Any) -> Any:
        stored = {"quantized_data": codes, "scale": scale, "zero_point": zero.astype(np.int8), "axis": -1}
        return mb.add(x=x, y=mb.constexpr_affine_dequantize(**stored))

    path = write(build(block, {"x": ((4, 6), "float32")}), tmp_path)
    program = open_program(path)
    np.testing.assert_allclose(
        program.run(np.zeros((1, 4, 6), np.float32))[program.outputs[0]][0], (codes - zero) * scale, rtol=1e-6
    )
    assert [found.dtype for found in open_package(path).constants.values()] == ["int8"]


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("weights", ["float32", "int32"])
def test_floats_and_integers_in_one_linear(weights: str, rank: int, tmp_path: Path) -> None:
    """Float weights for integers, or integer weights for floats, as coremltools' own builder allows; the bias is as the weights are."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    weight, bias = (RNG.integers(-5, 6, shape).astype(weights) for shape in ((4, 6), (4,)))
    given = "int32" if weights == "float32" else "float32"
    x = RNG.integers(-9, 10, (1, 3, 6)[3 - rank :]).astype(given)

    def block(x: Any) -> Any:
        return mb.linear(x=x, weight=weight, bias=bias)

    program = open_program(write(build(block, {"x": (x.shape, given)}), tmp_path))
    found = program.run(x if rank == 3 else x[None])[program.outputs[0]]
    np.testing.assert_allclose(found.reshape(3, 4), x.reshape(3, 6) @ weight.T + bias, rtol=1e-6, atol=1e-5)


def test_single_numbers_joined_to_a_vector(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        numbers = [kind(x=x, axes=[0], keep_dims=False) for kind in (mb.reduce_max, mb.reduce_min)]
        return mb.concat(values=numbers, axis=0)

    program = open_program(write(build(block, {"x": ((4,), "float32")}), tmp_path))
    x = RNG.normal(size=(1, 4)).astype(np.float32)
    np.testing.assert_array_equal(program.run(x)[program.outputs[0]], [[x.max(), x.min()]])


def test_an_output_that_is_a_constant(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    table = RNG.normal(size=(2, 3)).astype(np.float32)
    program = open_program(write(build(lambda x: (mb.relu(x=x), mb.const(val=table)), {"x": ((1, 4), "float32")}), tmp_path))
    found = program.run(np.full((2, 4), -1, np.float32))
    np.testing.assert_array_equal(found[program.outputs[0]], np.zeros((2, 4)))
    np.testing.assert_array_equal(found[program.outputs[1]], np.stack([table, table]))


def test_a_program_without_inputs(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    table = RNG.normal(size=(2, 3)).astype(np.float32)
    path = write(build(lambda: mb.relu(x=mb.const(val=table)), {}), tmp_path)
    program = open_program(path)
    np.testing.assert_array_equal(program.run({})[program.outputs[0]], np.maximum(table, 0)[None])
    assert describe(path).inputs == []
