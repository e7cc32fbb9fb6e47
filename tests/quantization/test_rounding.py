"""Rounding by data: codes that lose less of a layer's output than the nearest ones, exact for the few weights of a depthwise kernel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgecls.quantization.float16_scales import with_float16_scales
from edgecls.quantization.rounding import round_by_moments


def correlated(generator: np.random.Generator, weights: int, samples: int) -> np.ndarray:
    """Samples [n, weights] that vary together, as neighbouring pixels and channels do."""
    return generator.normal(size=(samples, 3)) @ generator.normal(size=(3, weights)) + 0.1 * generator.normal(
        size=(samples, weights)
    )


def problem(weights: int, outputs: int = 16, groups: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(weights)
    rows, scales = with_float16_scales(generator.normal(size=(outputs, weights)))
    samples = [correlated(generator, weights, 1000) for _ in range(groups)]
    return rows, scales, np.stack([np.cov(values.T) for values in samples])


def output_error(codes: np.ndarray, rows: np.ndarray, scales: np.ndarray, moments: np.ndarray) -> np.ndarray:
    errors = codes * scales[:, None] - rows
    each = len(rows) // len(moments)
    return np.einsum("oi,oij,oj->o", errors, np.repeat(moments, each, axis=0), errors)


@pytest.mark.parametrize("weights", [9, 27, 200])
def test_less_is_lost_of_the_output_than_by_the_nearest_codes(weights: int):
    rows, scales, moments = problem(weights)
    codes = round_by_moments(rows, scales, moments)
    nearest = np.rint(rows / scales[:, None])
    ours, theirs = (output_error(found, rows, scales, moments).sum() for found in (codes, nearest))
    assert ours < 0.5 * theirs  # three directions hold nearly all the energy, so that most errors can cancel
    assert np.array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() == 127


def test_a_depthwise_kernel_is_rounded_as_well_as_can_be():
    rows, scales, moments = problem(5, outputs=4, groups=4)
    found = output_error(round_by_moments(rows, scales, moments), rows, scales, moments)
    damped = moments + np.eye(5) * 0.01 * np.trace(moments, axis1=1, axis2=2)[:, None, None] / 5
    for output, (row, scale) in enumerate(zip(rows, scales, strict=True)):
        steps = row / scale
        choices = [(np.floor(step), np.ceil(step)) if abs(step - np.rint(step)) > 1e-5 else (np.rint(step),) for step in steps]
        losses = {
            codes: float((np.array(codes) - steps) @ damped[output] @ (np.array(codes) - steps))
            for codes in itertools.product(*choices)
        }
        best = np.array(min(losses, key=lambda codes: losses[codes]))
        expected = (best - steps) @ moments[output] @ (best - steps) * scale**2
        assert found[output] == pytest.approx(expected, rel=1e-4)  # float32 weights have 7 digits


@pytest.mark.parametrize("weights", [9, 40])
def test_the_largest_weight_and_zeros_stay_what_they_are(weights: int):
    rows, scales, moments = problem(weights)
    rows[:, ::3] = 0
    rows, scales = with_float16_scales(rows)
    codes = round_by_moments(rows, scales, moments)
    places = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
    assert np.array_equal(codes[places], np.sign(rows[places]) * 127)
    assert not codes[:, ::3].any()


def test_inputs_that_never_vary_do_no_harm():
    rows, scales, _ = problem(40)
    codes = round_by_moments(rows, scales, np.zeros((1, 40, 40)))
    assert np.abs(codes - rows / scales[:, None]).max() <= 0.5 + 1e-5
