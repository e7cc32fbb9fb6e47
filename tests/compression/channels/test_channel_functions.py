"""How channels pass through functions of TensorFlow in a model, and through a layer that is called where they cannot be followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from double_precision import in_double
from edgecls.compression.channels import Channels, trace_channels, without, zeroed
from edgecls.system.extras import require

TOLERANCE = 1e-9  # of the largest score, in double precision
CHANNELS = 8

# Name -> function of TensorFlow and a tensor [n, 6, 6, CHANNELS], and how many of its channels can go then.
FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "positions": (lambda tf, value: value[:, 1:-1, ::2], CHANNELS),
    "one position": (lambda tf, value: value[:, 0], CHANNELS),
    "a new axis": (lambda tf, value: value[:, :, None], CHANNELS),
    "all by number": (lambda tf, value: value[:, :, :, 0:CHANNELS], CHANNELS),
    "some channels": (lambda tf, value: value[:, :, :, :4], 0),
    "backwards": (lambda tf, value: value[:, :, :, ::-1], 0),
    "halves": (lambda tf, value: tf.concat(tf.split(value, 2, axis=-1)[::-1], axis=-1), CHANNELS // 2),
    "unequal parts": (lambda tf, value: tf.split(value, [3, 5], axis=-1)[1], 0),
    "rows apart": (lambda tf, value: tf.split(value, 3, axis=1)[1], CHANNELS),
    "a border": (lambda tf, value: tf.pad(value, [[0, 0], [1, 1], [2, 0], [0, 0]]), CHANNELS),
    "more channels": (lambda tf, value: tf.pad(value, [[0, 0], [0, 0], [0, 0], [2, 3]]), CHANNELS),
    "channels mirrored": (lambda tf, value: tf.pad(value, [[0, 0], [0, 0], [0, 0], [2, 2]], mode="REFLECT"), 0),
    "channels first": (lambda tf, value: tf.transpose(value, [0, 3, 1, 2]), CHANNELS),
    "there and back": (lambda tf, value: tf.squeeze(tf.expand_dims(value, 1), 1), CHANNELS),
    "enlarged": (lambda tf, value: tf.image.resize(value, (9, 9)), CHANNELS),
    "across channels": (lambda tf, value: tf.nn.softmax(value), 0),
    "across rows": (lambda tf, value: tf.nn.softmax(value, axis=1), CHANNELS),
    "squared": (lambda tf, value: value**2, CHANNELS),
    "its inverse": (lambda tf, value: (value + 20.0) ** -1, 0),
    "divided": (lambda tf, value: value / 3.0, CHANNELS),
    "divided by": (lambda tf, value: 3.0 / (value + 20.0), 0),
    "unknown": (lambda tf, value: tf.cumsum(value, axis=1), 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str):
    function, expected = FUNCTIONS[name]
    tf, tf_keras = require("tensorflow"), require("tf_keras")
    tf_keras.utils.set_random_seed(3)
    image = tf_keras.Input((6, 6, 3))
    value = function(tf, tf_keras.layers.Conv2D(CHANNELS, 3, padding="same", bias_initializer="ones")(image))
    model = tf_keras.Model(image, tf_keras.layers.Dense(4)(tf_keras.layers.Flatten()(value)))
    channels = trace_channels(model)
    assert channels.count - 1 == expected
    assert_proven(model, channels)


def test_a_layer_keeps_its_channels_where_one_of_its_calls_cannot_be_followed():
    tf_keras = require("tf_keras")
    layers = tf_keras.layers
    image, shared = tf_keras.Input((6, 6, 3)), layers.Dense(5, name="shared")
    along = shared(layers.Conv2D(6, 1, name="along")(image))
    across = shared(layers.Permute((3, 1, 2))(layers.Conv2D(6, 1, name="across")(image)))
    value = layers.Conv2D(7, 1, name="free")(layers.Add()([along, across]))
    model = tf_keras.Model(image, layers.Dense(4, name="classes")(layers.Flatten()(value)))
    channels = trace_channels(model)
    assert channels.protected.keys() == {"along", "across", "shared", "classes"}
    assert "another axis" in channels.protected["along"]
    assert_proven(model, channels)


def assert_proven(model: Any, channels: Channels) -> None:
    """Half of the channels gone, or zero: the same scores."""
    stays = channels.all.copy()
    for group in channels.groups:
        stays[group.channels[1::2]] = False
    images = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:]))
    expected = in_double(zeroed(model, channels, stays))(images).numpy()
    found = in_double(without(model, channels, stays))(images).numpy()
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
