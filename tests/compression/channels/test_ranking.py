"""Which channels go: the least important first, an eighth and whole multiples stay, and the costs are those of the smaller model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgecls.compression.channels import Channels, choose, multiply_accumulates, sizes_of, trace_channels, without
from edgecls.compression.channels.cost import weights_left
from edgecls.compression.channels.importance import at_random, batch_norm_scale, loss_of, magnitude, taylor
from edgecls.compression.channels.plan import fitting_choice, is_near, plan_channels, planned_choice
from edgecls.errors import RecipeError
from edgecls.records.recipe import ChannelPruning
from edgecls.system.extras import require


@pytest.fixture(scope="module")
def model() -> Any:
    """3x3 kernels on 8x8 pixels to 32 and 12 channels, then two classes."""
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(3)
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 3))
    value = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Conv2D(32, 3, padding="same", name="wide")(image)))
    value = layers.Flatten()(layers.ReLU()(layers.Conv2D(12, 3, padding="same", name="narrow")(value)))
    return tf_keras.Model(image, layers.Dense(2, name="classes")(value))


@pytest.fixture
def channels(model: Any) -> Channels:
    return trace_channels(model)


def test_costs_are_those_of_kernels_times_positions(channels):
    assert multiply_accumulates(channels) == 64 * 9 * (3 * 32 + 32 * 12) + 64 * 12 * 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("multiple", [1, 8])
def test_shares_are_met_in_whole_multiples(model, channels, share, multiple):
    whole = multiply_accumulates(channels)
    chosen = choose(channels, magnitude(channels), (1 - share) * whole, multiple, sizes_of(channels))
    smaller = without(model, channels, chosen.stays)
    assert multiply_accumulates(trace_channels(smaller)) == chosen.macs
    assert smaller.count_params() == weights_left(model, channels, chosen.stays)
    widths = {layer.name: layer.output_shape[-1] for layer in smaller.layers}
    assert widths["wide"] % multiple == 0
    assert widths["narrow"] % math.gcd(multiple, 2) == 0  # 8 halved until 12 are four times as many
    assert widths["classes"] == 2
    # one channel of `narrow` costs 9 · 32 · 64 and more, of all 280 thousand
    assert chosen.macs == pytest.approx((1 - share) * whole, abs=(0.02 if multiple == 1 else 0.08) * whole)


def test_multiples_are_halved_where_none_of_eight_meets_the_share(channels):
    whole = multiply_accumulates(channels)
    share = 0.3
    found = fitting_choice(channels, share, 8)
    assert found is not None and found.multiple < 8
    assert not is_near(planned_choice(channels, share, 2 * found.multiple).macs / whole, share)
    assert is_near(found.macs / whole, share)
    assert fitting_choice(channels, 0.999, 8) is None  # an eighth of each layer stays


def test_an_eighth_stays_and_the_least_important_go(channels):
    scores = np.arange(channels.count, dtype=float)
    chosen = choose(channels, scores, 0, 1, sizes_of(channels))
    for group in channels.groups:
        left = group.channels[chosen.stays[group.channels]]
        assert len(left) == math.ceil(len(group.channels) / 8)
        assert (left == np.sort(group.channels)[-len(left) :]).all()


def test_layers_that_are_alike_lose_alike():
    tf_keras = require("tf_keras")
    image = value = tf_keras.Input((4, 4, 16))
    for _ in range(3):
        value = tf_keras.layers.Conv2D(16, 3, padding="same")(value)
    channels = trace_channels(tf_keras.Model(image, tf_keras.layers.Conv2D(16, 3, padding="same")(value)))
    chosen = choose(channels, np.ones(channels.count), 0.5 * multiply_accumulates(channels), 1, sizes_of(channels))
    first, _, third = (int(chosen.stays[group.channels].sum()) for group in channels.groups)
    assert abs(first - third) <= 1  # what goes between them saves less, as both its kernels shrink with them


def test_a_step_that_costs_nothing_is_given_back_where_it_makes_another_go_too_far():
    """Eight dead channels save little. With them gone, the cheapest step overshoots, and must not be left out for that."""
    tf_keras = require("tf_keras")
    image = value = tf_keras.Input((28, 28, 1))
    for filters, pool in ((32, 2), (64, 2), (64, 1)):  # as the CNN of most Fashion-MNIST tutorials
        value = tf_keras.layers.MaxPooling2D(pool)(tf_keras.layers.Conv2D(filters, 3)(value))
    value = tf_keras.layers.Dense(64)(tf_keras.layers.Flatten()(value))
    channels = trace_channels(tf_keras.Model(image, tf_keras.layers.Dense(10)(value)))
    scores = np.zeros(channels.count)
    for group in channels.groups:
        scores[group.channels] = 1 / len(group.channels)
    scores[channels.groups[2].channels[:8]] = 0
    whole = multiply_accumulates(channels)
    chosen = choose(channels, scores, 0.7 * whole, 8, sizes_of(channels))
    assert chosen.macs == pytest.approx(0.7 * whole, abs=0.01 * whole)
    first, second, third, _ = (int(chosen.stays[group.channels].sum()) for group in channels.groups)
    assert (first, second) == (24, 56)  # which saves 0.217 and 0.115, less 0.025 that both take part in
    assert third >= 56  # nothing that matters goes where next to nothing is saved


def test_channels_that_change_nothing_come_last_by_taylor(model, channels):
    kernel = model.get_layer("narrow").kernel
    before = kernel.numpy()
    silent = np.arange(0, 32, 4)
    values = before.copy()
    values[:, :, silent] = 0  # nobody takes these channels of `wide`
    kernel.assign(values)
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    scores = taylor(model, channels, [images], loss_of("logits", 2))
    kernel.assign(before)
    made = channels.made["wide"]
    assert set(np.flatnonzero(scores[made] == 0)) == set(silent)


def test_what_a_batch_norm_takes_away_does_not_count():
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(5)
    image = value = tf_keras.Input((6, 6, 3))
    for name in ("first", "second", "third"):
        value = tf_keras.layers.Conv2D(8, 1, name=name)(value)
        value = tf_keras.layers.BatchNormalization()(value) if name == "second" else value
    model = tf_keras.Model(image, tf_keras.layers.Dense(2)(tf_keras.layers.GlobalAveragePooling2D()(value)))
    for name in ("first", "third"):  # channel 3 is always the same, and large
        kernel, bias = model.get_layer(name).get_weights()
        kernel[..., 3], bias[3] = 0, 50
        model.get_layer(name).set_weights([kernel, bias])
    channels = trace_channels(model)
    images = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype(np.float32)
    scores = taylor(model, channels, [images], loss_of("logits", 2))
    first, third = scores[channels.made["first"]], scores[channels.made["third"]]
    assert np.argmin(first) == 3  # a BatchNorm follows the kernel that takes it
    assert first[3] < 1e-4 * first.max()  # but for the rounding of a mean of 576 values of 50
    assert third[3] > 0.1 * third.max()  # nothing makes up for it there


def test_importance_is_about_answers_drawn_from_the_softened_scores():
    tf = require("tensorflow")
    logits = np.array([[8.0, 0.0, -2.0], [2.0, 0.0, 8.0]], np.float32)
    log_odds = logits / 4  # softened by 4
    log_shares = log_odds - np.log(np.exp(log_odds).sum(axis=1, keepdims=True))
    quiet, loud = np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 3), np.float32)
    loud[0, :, 1] = 100.0  # the noise that draws the class in the middle
    found = [float(loss_of("logits", 3)(tf.constant(logits), tf.constant(noise))) for noise in (quiet, loud)]
    assert found == pytest.approx([-(log_shares[0, 0] + log_shares[1, 2]) / 2, -log_shares[:, 1].mean()])
    one = loss_of("logits", 1)(tf.constant(logits[:, :1]), tf.constant(quiet[:, :, :1]))
    assert float(one) == pytest.approx(np.log1p(np.exp(-logits[:, 0] / 4)).mean())


def test_chance_gives_each_layer_as_much_to_lose(channels):
    scores = at_random(channels, 3)
    assert [scores[group.channels].sum() for group in channels.groups] == pytest.approx([1.0, 1.0])
    assert (at_random(channels, 3) == scores).all()
    assert (at_random(channels, 4)[1:] != scores[1:]).all()


def test_batch_norm_scale_knows_only_what_is_scaled(model, channels):
    gamma = model.get_layer("norm").gamma
    gamma.assign(np.linspace(-1, 1, 32))
    scores = batch_norm_scale(channels)
    assert np.argmin(scores[channels.made["wide"]]) in (15, 16)  # the two nearest to nought
    assert np.isinf(scores[channels.made["narrow"]]).all()
    gamma.assign(np.ones(32))


def test_more_than_can_go_is_refused_with_what_can(model):
    with pytest.raises(RecipeError) as caught:
        plan_channels(model, ChannelPruning(share=0.99))
    text = str(caught.value)
    assert "classes stays: the classes stay" in text
    share = float(text.partition("--prune-channels ")[2].split()[0])
    plan_channels(model, ChannelPruning(share=share))  # what the remedy says works


def test_a_share_below_the_least_step_is_refused_with_one_that_can_go(model):
    with pytest.raises(RecipeError, match=r"0\.1% .*loses more with its least step") as caught:
        plan_channels(model, ChannelPruning(share=0.001))
    share = float(str(caught.value).partition("--prune-channels ")[2].split()[0])
    plan = plan_channels(model, ChannelPruning(share=share))
    assert 0 < 1 - plan.choice.macs / plan.macs < 2 * share
