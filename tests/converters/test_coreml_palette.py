"""Palettes against coremltools' own k-means, and where they must be exact."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from edgecls.converters.coreml.palette import palettize
from edgecls.system.extras import require


def error_energy(weights: np.ndarray, table: np.ndarray, indices: np.ndarray) -> float:
    return float(np.square(table.astype(np.float64)[indices.reshape(weights.shape)] - weights.astype(np.float64)).sum())


def kernels() -> dict[str, np.ndarray]:
    """Distributions that kernels have."""
    rng = np.random.default_rng(0)
    uneven = np.repeat([75.0, 0.5], [2, 30])[:, None, None, None]
    return {
        "normal": rng.standard_normal((64, 32, 3, 3)) * 0.05,
        "heavy tails": rng.standard_t(3, (32, 16, 3, 3)) * 0.02,
        "a few channels a hundred times the others": rng.standard_normal((32, 1, 3, 3)) * uneven,
        "few weights": rng.standard_normal((8, 1, 3, 3)),
    }


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("bits", [2, 4, 6])
def test_no_worse_than_coremltools(name: str, bits: int) -> None:
    """The borders are the best of those tried; 2 % leaves room for rounding the table to float16."""
    require("coremltools")
    from coremltools.models.neural_network.quantization_utils import _get_kmeans_lookup_table_and_weight

    weights = kernels()[name].astype(np.float16)
    table, indices = palettize(weights, bits)
    theirs: Any = _get_kmeans_lookup_table_and_weight(bits, weights)
    other = error_energy(weights, np.asarray(theirs[0]).reshape(-1).astype(np.float16), np.asarray(theirs[1]))
    assert error_energy(weights, table, indices) <= 1.02 * other
    assert table.dtype == np.float16
    assert table.size == 2**bits


def test_the_best_of_all_tables() -> None:
    """Every way to cut twelve sorted values into four intervals, tried one by one."""
    weights = np.random.default_rng(3).standard_normal(12).astype(np.float32).round(2)
    values = np.sort(weights.astype(np.float64))
    best = min(
        sum(float(np.square(part - part.mean()).sum()) for part in np.split(values, cuts))
        for cuts in combinations(range(1, 12), 3)
    )
    table, indices = palettize(weights, 2)
    # the table is rounded to float32, relative 6e-8 of values up to 3
    assert error_energy(weights, table, indices) == pytest.approx(best, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("count", "bits"), [(1, 2), (3, 2), (4, 2), (16, 4), (11, 4), (64, 6), (256, 8)])
def test_clustered_weights_are_stored_exactly(count: int, bits: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.standard_normal(count).astype(np.float16)
    weights = rng.choice(values, (40, 5, 3, 3))
    table, indices = palettize(weights, bits)
    assert np.array_equal(table[indices], weights)
    assert np.all(np.diff(table.astype(np.float64)) >= 0)


@pytest.mark.parametrize("sparsity", [0.0005, 0.01, 0.05, 0.099, 0.4, 0.95])
@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_pruned_weights_stay_zero(bits: int, sparsity: float) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0.01, 0.05, (64, 32, 3, 3)).astype(np.float16)
    weights[rng.random(weights.shape) < sparsity] = 0
    table, indices = palettize(weights, bits)
    assert not table[indices][weights == 0].any()
