"""BatchNorms take the statistics of a model that lost channels; frozen ones and dropout do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecls.compression.channels.statistics import estimate_again
from edgecls.system.extras import require


@pytest.fixture
def model() -> Any:
    tf_keras = require("tf_keras")
    layers = tf_keras.layers
    image = tf_keras.Input((4, 4, 2))
    value = layers.RandomFlip()(layers.Dropout(0.5)(layers.BatchNormalization(name="moves", momentum=0.9)(image)))
    value = layers.BatchNormalization(name="behind")(value)
    return tf_keras.Model(image, layers.BatchNormalization(name="frozen", trainable=False)(value))


def test_they_are_the_means_over_the_batches(model):
    generator = np.random.default_rng(0)
    batches = [generator.normal(3, 2, (8, 4, 4, 2)).astype(np.float32) for _ in range(3)]
    estimate_again(model, batches)
    moves, behind, frozen = (model.get_layer(name) for name in ("moves", "behind", "frozen"))
    expected = np.mean([batch.mean(axis=(0, 1, 2)) for batch in batches], axis=0)
    assert moves.moving_mean.numpy() == pytest.approx(expected, rel=1e-5)  # float32 sums
    # of a batch, as TensorFlow's fused kernel estimates it: n / (n - 1) of what numpy says, of 128 values
    spread = np.mean([batch.var(axis=(0, 1, 2)) for batch in batches], axis=0)
    assert moves.moving_variance.numpy() == pytest.approx(spread * 128 / 127, rel=1e-4)
    # it sees what the first made of each batch: 0 and 1 but for its epsilon of 0.001 beside 4, and no zeros of the dropout
    assert behind.moving_mean.numpy() == pytest.approx([0, 0], abs=1e-5)
    assert behind.moving_variance.numpy() == pytest.approx(np.full(2, 128 / 127), rel=1e-3)
    assert (frozen.moving_variance.numpy() == 1).all()
    assert moves.momentum == 0.9
