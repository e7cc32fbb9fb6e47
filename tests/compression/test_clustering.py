"""k-means on weights, beside scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecls.compression.clustering import cluster, clusters_of


def squared_error(weights: np.ndarray, assigned: np.ndarray) -> float:
    return sum(
        float(((group - group.mean()) ** 2).sum()) for index in np.unique(assigned) if len(group := weights[assigned == index])
    )


@pytest.mark.parametrize("clusters", [4, 16, 64])
def test_as_good_as_scikit_learn(clusters: int) -> None:
    import sklearn.cluster

    kmeans: Any = sklearn.cluster.KMeans
    weights = np.random.default_rng(1).laplace(size=(3, 3, 16, 24)).astype(np.float32)  # about how trained kernels are spread
    assigned = cluster(weights, clusters, keep_zeros=False)
    theirs = kmeans(clusters, n_init=3, random_state=0).fit(weights.reshape(-1, 1)).inertia_
    assert assigned.shape == weights.shape
    assert 0.95 * clusters <= len(np.unique(assigned)) <= clusters  # two may start at one lonely weight
    assert squared_error(weights, assigned) <= 1.1 * theirs  # both are local optima: within a tenth of one another
    means = [weights[assigned == index].mean() for index in np.unique(assigned)]
    assert means == sorted(means)


def test_zeros_are_a_cluster_of_their_own_and_count() -> None:
    weights = np.random.default_rng(2).normal(size=(40, 50)).astype(np.float32)
    weights[np.abs(weights) < 0.6] = 0
    assigned = cluster(weights, 8, keep_zeros=True)
    zero = np.unique(assigned[weights == 0])
    assert len(zero) == 1
    assert not (assigned[weights != 0] == zero[0]).any()
    assert len(np.unique(assigned)) == 8


def test_fewer_values_than_clusters_stay_as_they_are() -> None:
    weights = np.array([[1, 2, 2], [3, 1, 1]], np.float32)
    assert squared_error(weights, cluster(weights, 16, keep_zeros=False)) == 0
    assert cluster(np.zeros((2, 2), np.float32), 4, keep_zeros=True).max() == 0
    np.testing.assert_array_equal(clusters_of(weights), [[0, 1, 1], [2, 0, 0]])
