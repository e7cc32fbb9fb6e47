"""Compensation: what channels that go have told is taken from those that stay, as far as these tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecls.compression.channels import trace_channels, without
from edgecls.compression.channels.compensation import compensate
from edgecls.system.extras import require

# The mildest ridge is 1e-4 of the mean variance: about as much of what a channel told is lost, and of a model without it all.
LEFT = 1e-2


def _flat(layers: Any, value: Any) -> Any:
    return layers.Dense(5)(layers.Flatten()(value))


def _convolved(layers: Any, value: Any) -> Any:
    return layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, padding="valid")(value))


def _levelled(layers: Any, value: Any) -> Any:
    value = layers.BatchNormalization()(layers.Conv2D(5, 3, use_bias=False)(value))
    return layers.GlobalAveragePooling2D()(layers.ReLU()(value))


def _twice(layers: Any, value: Any) -> Any:
    shared = layers.Conv2D(5, 1)
    return layers.GlobalAveragePooling2D()(layers.Add()([shared(value), shared(layers.AveragePooling2D(1)(value))]))


def _images(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).normal(0.5, 1, (count, 6, 6, 3)).astype(np.float32)


def _model(network: Callable[[Any, Any], Any], image: Any, mixed: Any) -> Any:
    """A model in which the last of six channels is a mixture of the others."""
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(1)
    maker = tf_keras.layers.Conv2D(6, 1, name="maker")
    model = tf_keras.Model(image, tf_keras.layers.Dense(4)(network(tf_keras.layers, maker(image))))
    kernel, bias = (value.numpy() for value in (maker.kernel, maker.bias))
    kernel[..., 5], bias[5] = kernel[..., :5] @ mixed, 1.5
    maker.set_weights([kernel, bias])
    return model


def _without_last(model: Any) -> tuple[Any, np.ndarray]:
    channels = trace_channels(model)
    stays = channels.all.copy()
    stays[channels.made["maker"][5]] = False
    return channels, stays


def _in_two(images: np.ndarray) -> list[np.ndarray]:
    return [images[:40], images[40:]]


def _one_by_one(images: np.ndarray) -> list[np.ndarray]:
    return [images[index : index + 1] for index in range(len(images))]


@pytest.mark.parametrize("batches", [_in_two, _one_by_one])
@pytest.mark.parametrize("network", [_flat, _convolved, _levelled, _twice])
def test_a_channel_that_the_others_tell_is_not_missed(network, batches) -> None:
    image = require("tf_keras").Input((6, 6, 3))
    model, images = _model(network, image, [1.0, -2.0, 0.5, 0.0, 1.0]), _images()
    if network is _levelled:  # its mean is that of these images, before and after
        for layer in model.layers:
            if "BatchNorm" in type(layer).__name__:
                layer.momentum = 0.0
        model(images, training=True)
    expected = model(images).numpy()
    channels, stays = _without_last(model)
    missed = np.abs(without(model, channels, stays)(images, training=network is _levelled).numpy() - expected).mean()
    compensate(model, channels, stays, batches(images))
    found = without(model, channels, stays)(images, training=network is _levelled).numpy()
    assert np.abs(found - expected).mean() < LEFT * missed


def test_what_the_others_do_not_tell_is_not_believed() -> None:
    """As many channels as images: a guess fits one half of them exactly, and is no good for the other half."""
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(1)
    image = tf_keras.Input((64,))
    hidden = tf_keras.layers.Dense(64, use_bias=False, kernel_initializer="identity", name="maker")(image)
    model = tf_keras.Model(image, tf_keras.layers.Dense(4, name="taker")(hidden))
    channels, stays = _without_last(model)
    before = model.get_layer("taker").kernel.numpy()
    compensate(model, channels, stays, [np.random.default_rng(0).normal(0, 1, (40, 64)).astype(np.float32)])
    assert np.array_equal(model.get_layer("taker").kernel.numpy(), before)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_changes_where_no_image_is_left_to_judge_by(count) -> None:
    model = _model(_flat, require("tf_keras").Input((6, 6, 3)), np.ones(5))
    channels, stays = _without_last(model)
    before = model.get_weights()
    compensate(model, channels, stays, [_images(count)] if count else [])
    assert all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))


def test_a_constant_is_not_counted_where_a_border_takes_its_place() -> None:
    """Of a 3x3 kernel on one pixel, eight places see the border: a channel's mean, times all nine of them, would be far too much."""
    tf_keras = require("tf_keras")
    tf_keras.utils.set_random_seed(1)
    image = tf_keras.Input((1, 1, 16))
    maker = tf_keras.layers.Conv2D(16, 1, use_bias=False, name="maker")
    model = tf_keras.Model(image, tf_keras.layers.Conv2D(5, 3, padding="same")(maker(image)))
    maker.set_weights([np.eye(16, dtype=np.float32)[None, None]])
    images = np.random.default_rng(0).normal(2, 1, (64, 1, 1, 16)).astype(np.float32)
    expected = model(images).numpy()
    channels = trace_channels(model)
    stays = channels.all.copy()
    stays[channels.made["maker"][8:]] = False
    plain = np.square(without(model, channels, stays)(images).numpy() - expected).mean()
    compensate(model, channels, stays, [images])
    assert np.square(without(model, channels, stays)(images).numpy() - expected).mean() < 0.5 * plain


def test_depthwise_kernels_and_those_in_groups_stay_as_they_are() -> None:
    def network(layers: Any, value: Any) -> Any:
        value = layers.Conv2D(6, 3, groups=2, name="grouped")(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(value))
        return layers.GlobalAveragePooling2D()(value)

    model = _model(network, require("tf_keras").Input((6, 6, 3)), np.ones(5))
    channels = trace_channels(model)
    stays = channels.all.copy()
    stays[channels.made["maker"][5]] = False
    held = [*model.get_layer("depthwise").get_weights(), *model.get_layer("grouped").get_weights()]
    compensate(model, channels, stays, [_images()])
    left = [*model.get_layer("depthwise").get_weights(), *model.get_layer("grouped").get_weights()]
    assert all(np.array_equal(one, two) for one, two in zip(held, left, strict=True))
