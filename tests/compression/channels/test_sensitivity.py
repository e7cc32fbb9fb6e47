"""How far scores move without some channels is measured as if these were gone, and makes the groups' importances comparable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecls.compression.channels import trace_channels, zeroed
from edgecls.compression.channels.sensitivity import divergences, weighed
from edgecls.compression.channels.statistics import estimate_again
from edgecls.system.extras import require


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model(images: np.ndarray) -> Any:
    """A loud branch and a faint one, each with a BatchNorm of which the statistics are those of the images."""
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(2)
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 3))
    branches = []
    for name in ("loud", "faint"):
        value = layers.ReLU()(layers.Conv2D(16, 3, padding="same", name=name)(image))
        branches.append(layers.BatchNormalization(name=f"{name}_norm")(layers.Conv2D(4, 1, name=f"{name}_out")(value)))
    value = layers.Concatenate()(branches)
    made = tf_keras.Model(image, layers.Dense(5, name="classes")(layers.Flatten()(value)))
    kernel, bias = made.get_layer("classes").get_weights()
    kernel.reshape(8, 8, 8, 5)[:, :, 4:] *= 0.01
    made.get_layer("classes").set_weights([kernel, bias])
    estimate_again(made, [images])
    return made


def without_half(model: Any) -> np.ndarray:
    channels = trace_channels(model)
    stays = channels.all.copy()
    stays[channels.made["loud"][::2]] = False
    return stays


def test_it_is_the_divergence_of_a_model_whose_statistics_are_taken_anew(model, images):
    channels, stays = trace_channels(model), without_half(model)
    smaller = zeroed(model, channels, stays)
    estimate_again(smaller, [images])
    shares, others = (_softened(one.predict_on_batch(images)) for one in (model, smaller))
    expected = 16 * float(np.sum(shares * np.log(shares / others), axis=1).mean())  # the temperature squared
    found = divergences(model, channels, [images], [stays.astype(np.float32), channels.all.astype(np.float32)], "logits")
    # TensorFlow estimates a variance of 4,096 values as n / (n - 1) of what normalises a batch
    assert found[0] == pytest.approx(expected, rel=2e-3)
    assert found[1] == pytest.approx(0, abs=1e-6 * expected)


def test_the_model_stays_as_it_is(model, images):
    before = model.get_weights()
    divergences(model, trace_channels(model), [3 * images + 1], [without_half(model).astype(np.float32)], "logits")
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
    assert model.get_layer("loud_norm").momentum == 0.99


def test_groups_weigh_what_the_scores_owe_to_them(model, images):
    channels = trace_channels(model)
    within = np.random.default_rng(1).uniform(0.5, 1, channels.count)
    found = weighed(model, channels, within, [images], "logits")
    loud, faint = channels.made["loud"], channels.made["faint"]
    # the divergence goes with the square of what reaches the logits, which is a hundredth; branches of random weights differ by less
    assert np.log10(found[faint].sum() / found[loud].sum()) == pytest.approx(-4, abs=0.7)
    for made in (loud, faint):
        assert found[made] / found[made].sum() == pytest.approx(within[made] / within[made].sum())


def test_channels_that_carry_nothing_do_not_make_their_group_worthless(model, images):
    channels = trace_channels(model)
    loud = channels.made["loud"]
    within = np.ones(channels.count)
    within[loud[:8]] = 0.0  # half of them; without these alone, nothing would be known of the others
    found = weighed(model, channels, within, [images], "logits")
    assert (found[loud[:8]] == 0).all()
    assert found[loud].sum() > 100 * found[channels.made["faint"]].sum()


def test_channels_that_have_to_stay_are_no_part_of_what_their_group_can_lose(model, images):
    channels = trace_channels(model)
    loud, faint = channels.made["loud"], channels.made["faint"]
    within = np.random.default_rng(1).uniform(0.5, 1, channels.count)
    within[loud[:1]] = within[faint] = np.inf
    found = weighed(model, channels, within, [images], "logits")
    assert np.isinf(found[loud[:1]]).all() and np.isinf(found[faint]).all()
    assert found[loud[1:]] / found[loud[1:]].sum() == pytest.approx(within[loud[1:]] / within[loud[1:]].sum())
    assert 0 < found[loud[1:]].sum() < np.inf


def _softened(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits.astype(np.float64) / 4)
    return shares / shares.sum(axis=1, keepdims=True)
