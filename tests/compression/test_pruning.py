"""Masks and schedules of pruning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecls.compression.pruning import PruningSchedule, has_pattern, mask_of, refusal
from edgecls.records.recipe import Pruning


def kernel(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(st.floats(0.01, 0.99), st.integers(1, 5), st.integers(1, 7), st.integers(1, 9))
def test_exactly_the_least_weights_go(sparsity: float, side: int, inputs: int, outputs: int) -> None:
    weights = kernel(side, side, inputs, outputs)
    mask = mask_of(weights, sparsity, "unstructured")
    assert mask.shape == weights.shape
    assert int((mask == 0).sum()) == math.ceil(sparsity * weights.size - 1e-6)
    if mask.any():
        assert np.abs(weights[mask == 0]).max() <= np.abs(weights[mask == 1]).min()


def test_many_equal_weights_do_not_make_more_zeros_than_asked() -> None:
    assert mask_of(np.ones((10, 10), np.float32), 0.3, "unstructured").sum() == 70


@pytest.mark.parametrize("shape", [(3, 3, 8, 5), (16, 10)])
def test_two_of_four_along_the_inputs(shape: tuple[int, ...]) -> None:
    weights = kernel(*shape)
    mask = mask_of(weights, 0.5, "2:4")
    fours = np.moveaxis(mask, -2, -1).reshape(-1, 4)
    assert (fours.sum(axis=1) == 2).all()
    magnitudes = np.moveaxis(np.abs(weights), -2, -1).reshape(-1, 4)
    assert (np.where(fours == 1, magnitudes, np.inf).min(axis=1) >= np.where(fours == 0, magnitudes, 0).max(axis=1)).all()
    assert has_pattern(weights * mask, 0.5, "2:4")
    half_way = mask_of(weights, 0.25, "2:4")
    assert (half_way >= mask).all()  # what goes first is among what goes in the end
    assert int((half_way == 0).sum()) == weights.size // 4


def test_blocks_vanish_together() -> None:
    weights = kernel(3, 3, 8, 6)
    mask = mask_of(weights, 0.5, "4x2")
    blocks = mask.reshape(3 * 3 * 2, 4, 3, 2)
    kept = blocks.mean(axis=(1, 3))
    assert set(np.unique(kept)) == {0.0, 1.0}
    assert int((kept == 0).sum()) == 27
    energy = np.abs(weights).reshape(blocks.shape).sum(axis=(1, 3))
    assert energy[kept == 0].max() <= energy[kept == 1].min()
    assert has_pattern(weights * mask, 0.5, "4x2")


def test_scattered_zeros_are_no_pattern() -> None:
    weights = kernel(16, 8)
    weights *= mask_of(weights, 0.5, "unstructured")
    assert has_pattern(weights, 0.5, "unstructured")
    assert not has_pattern(weights, 0.5, "2:4")
    assert not has_pattern(weights, 0.5, "4x1")
    assert not has_pattern(weights, 0.51, "unstructured")


def test_a_kernel_that_cannot_have_the_pattern_is_named() -> None:
    assert refusal((3, 3, 3, 16), "2:4") == "3 inputs and 16 outputs are no multiples of the pattern 2:4"
    assert refusal((3, 3, 8, 10), "4x4")
    assert not refusal((3, 3, 3, 16), "unstructured")
    assert not refusal((3, 3, 8, 10), "4x2")


@given(st.integers(1, 5000), st.floats(0.01, 0.99), st.floats(0.01, 1), st.sampled_from(["polynomial", "constant"]))
def test_the_sparsity_is_reached_however_few_steps_there_are(steps: int, sparsity: float, end: float, kind: str) -> None:
    schedule = PruningSchedule(Pruning.model_validate({"sparsity": sparsity, "end": end, "schedule": kind}), steps)
    updates = [step for step in range(steps) if schedule.is_update(step)]
    assert 1 <= len(updates) <= 60
    assert schedule.sparsity(updates[-1]) == pytest.approx(sparsity)
    assert updates[-1] < max(1, round(end * steps))
    shares = [schedule.sparsity(step) for step in updates]
    assert shares == sorted(shares)
