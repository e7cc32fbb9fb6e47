"""Programs whose images have no fixed size: opened once, run on images of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreml_proofs import grid, interpolated, normal
from edgecls.coreml_reference import Program, open_program
from edgecls.errors import UnsupportedOperationError
from mil_packages import build, write

SIZES = [(4, 5), (7, 3), (6, 6)]
FREE = ((1, 2, None, None), "float32")
TOLERANCE = 1e-5  # the engine places a point of up to 15 in float32: 1e-6 of a step between values of some units


def opened(block: Callable[..., Any], folder: Path, opset: str = "iOS17") -> Program:
    return open_program(write(build(block, {"x": FREE}, opset), folder, opset))


def check(program: Program, expected: Callable[[np.ndarray], np.ndarray]) -> None:
    """Two images of each size."""
    for size in SIZES:
        x = normal(np.random.default_rng(0), (2, 2, *size))
        np.testing.assert_allclose(program.run(x)[program.outputs[0]], expected(x), rtol=TOLERANCE, atol=TOLERANCE)


def interpolation(mode: str, target: Callable[[int], int]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: interpolated(x, [grid(mode, size, target(size)) for size in x.shape[2:]])


@pytest.mark.parametrize("mode", ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "UNALIGN_CORNERS"])
@pytest.mark.parametrize("name", ["resize", "resize_bilinear"])
def test_to_a_fixed_size(name: str, mode: str, tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        if name == "resize":
            return mb.resize(x=x, shape=[5, 5], resized_dims=np.uint32(2), sampling_mode=mode)
        return mb.resize_bilinear(x=x, target_size_height=5, target_size_width=5, sampling_mode=mode)

    check(opened(block, tmp_path), interpolation(mode, lambda size: 5))


def test_to_a_size_that_the_program_computes(tmp_path: Path) -> None:
    """Twice the height; a zero stands for the width of the image itself."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        return mb.resize(x=x, shape=mb.mul(x=mb.shape(x=x), y=[1, 1, 2, 0]), resized_dims=np.uint32(2))

    def expected(x: np.ndarray) -> np.ndarray:
        return interpolated(x, [grid("DEFAULT", x.shape[2], 2 * x.shape[2]), np.arange(x.shape[3])])

    check(opened(block, tmp_path), expected)


@pytest.mark.parametrize("mode", ["STRICT_ALIGN_CORNERS", "DEFAULT", "UNALIGN_CORNERS"])
def test_to_a_multiple(mode: str, tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        rule = {"align_corners": mode == "STRICT_ALIGN_CORNERS", "half_pixel_centers": mode == "UNALIGN_CORNERS"}
        return mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=2, **rule)

    check(opened(block, tmp_path), interpolation(mode, lambda size: 2 * size))


def test_to_a_multiple_by_the_nearest(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    block = lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=3, scale_factor_width=2)  # noqa: E731
    check(opened(block, tmp_path), lambda x: np.repeat(np.repeat(x, 3, 2), 2, 3))


def test_shape(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    program = opened(lambda x: mb.shape(x=x), tmp_path)
    for size in SIZES:
        x = np.zeros((1, 2, *size), np.float32)
        np.testing.assert_array_equal(program.run(x)[program.outputs[0]], [x.shape])


def test_what_the_engine_has_no_rule_for_is_refused_by_name(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    def block(x: Any) -> Any:
        return mb.resize_bilinear(x=x, target_size_height=5, target_size_width=5, sampling_mode="OFFSET_CORNERS")

    program = opened(block, tmp_path)
    with pytest.raises(UnsupportedOperationError, match="resize_bilinear on values without a fixed size"):
        program.run(np.zeros((1, 2, 4, 4), np.float32))
