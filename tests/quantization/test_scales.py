"""Numbers that float16 holds exactly: what is raised, by how much, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecls.quantization.ranges import Range
from edgecls.quantization.scales import float16_bias, float16_range, float16_scale

NORMAL = st.floats(2.0**-14, 60000, width=32)  # where float16 has all its digits


def is_float16(values: np.ndarray) -> bool:
    return bool(np.all(np.float16(values).astype(np.float32) == values))


@given(NORMAL)
def test_a_scale_is_raised_to_the_next_half_by_less_than_a_thousandth(scale: float) -> None:
    raised = float16_scale(scale)
    assert is_float16(raised)
    assert scale <= raised <= scale * (1 + 2.0**-10)  # neighbours of 11 significant bits lie so far apart at most
    assert float16_scale(raised) == raised


@pytest.mark.parametrize("scale", [0.0, 3e-12, 1e-6, 65520.0, 1e9])
def test_a_scale_that_float16_cannot_hold_stays(scale: float) -> None:
    assert float16_scale(scale) == np.float32(scale)


@settings(deadline=None)  # the first example imports the quantizer
@given(NORMAL, st.integers(0, 255))
def test_a_range_gives_the_quantizer_exactly_this_scale_and_the_old_zero_point(scale: float, below: int) -> None:
    from litert_quantizer.algorithms.uniform_quantize.uniform_quantize_tensor import tensor_zp_scale_from_min_max
    from litert_quantizer.qtyping import QuantGranularity

    value = Range(float(np.float32(-scale * below)), float(np.float32(scale * (255 - below))))
    found = float16_range(value)
    low, high = (np.array([end], np.float32) for end in found)
    zero_point, own = tensor_zp_scale_from_min_max(low, high, 8, symmetric=False, granularity=QuantGranularity.TENSORWISE)
    assert own[0] == float16_scale((found.high - found.low) / 255)
    assert is_float16(own)
    assert zero_point[0] == below - 128  # of 255 steps, each less than 1/1000 longer, a quarter of one is lost
    assert scale * (1 - 1e-6) <= own[0] <= scale * (1 + 2.0**-10 + 1e-6)


def test_a_bias_beyond_float16_stays() -> None:
    bias = np.array([0.1, -1.0, 1e6, 1e-9], np.float32)
    assert float16_bias(bias).tolist() == [np.float32(np.float16(0.1)), -1.0, 1e6, 0.0]
