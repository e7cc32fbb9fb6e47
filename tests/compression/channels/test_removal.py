"""Removing channels: the smaller model answers as the whole one does with those channels' weights at zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from edgecls.compression import copy_model
from edgecls.compression.channels import Channels, trace_channels, without, zeroed
from edgecls.compression.channels.compensation import compensate
from edgecls.models import load_model, rebuild
from edgecls.system.extras import require

TOLERANCE = 1e-5  # of the largest score: float32 sums of some thousand products, of which zeros are left out
SHAPE = (12, 12, 3)


def _residual(keras: Any, value: Any) -> Any:
    value = start = keras.Conv2D(12, 3, padding="same")(value)
    for _ in range(2):
        inner = keras.ReLU()(keras.BatchNormalization()(keras.Conv2D(10, 3, padding="same", use_bias=False)(value)))
        value = keras.ReLU()(keras.Add()([value, keras.Conv2D(12, 1)(inner)]))
    return keras.GlobalAveragePooling2D()(keras.Concatenate()([value, keras.MaxPooling2D(3, 1, padding="same")(start)]))


def _dense_blocks(keras: Any, value: Any) -> Any:
    value = keras.Conv2D(6, 3, padding="same")(value)
    for _ in range(2):
        new = keras.Conv2D(8, 3, padding="same")(keras.Activation("tanh")(keras.BatchNormalization()(value)))
        value = keras.Concatenate()([value, new])
    return keras.GlobalMaxPooling2D()(keras.BatchNormalization()(value))


def _gated(keras: Any, value: Any) -> Any:
    value = keras.Activation("swish")(keras.DepthwiseConv2D(3, depth_multiplier=2)(keras.Conv2D(9, 3)(value)))
    gate = keras.Reshape((1, 1, 18))(keras.GlobalAveragePooling2D()(value))
    gate = keras.Conv2D(18, 1, activation="sigmoid")(keras.Conv2D(4, 1, activation="relu")(gate))
    value = keras.Multiply()([value, gate])
    spot = keras.Conv2D(1, 1, activation="sigmoid")(value)
    return keras.GlobalAveragePooling2D(keepdims=True)(keras.Multiply()([value, spot]))


def _flattened(keras: Any, value: Any) -> Any:
    value = keras.Conv2D(6, 3, activation="relu", strides=2)(keras.ZeroPadding2D(1)(value))
    value = keras.PReLU(shared_axes=[1, 2])(keras.Dropout(0.5)(keras.AveragePooling2D(2)(value)))
    value = keras.Dense(14, activation="sigmoid")(keras.Flatten()(keras.PReLU()(value)))
    return keras.BatchNormalization()(keras.Dense(11)(value))


def _grouped(keras: Any, value: Any) -> Any:
    value = keras.GroupNormalization(4)(keras.Conv2D(16, 3)(value))
    value = keras.Conv2D(12, 3, groups=2, padding="same")(keras.LeakyReLU()(value))
    value = keras.Conv2D(24, 3, groups=12)(value)
    return keras.Flatten()(keras.Conv2D(8, 3, groups=4)(value))


def _separable(keras: Any, value: Any) -> Any:
    value = keras.SeparableConv2D(10, 3, depth_multiplier=2)(keras.SeparableConv2D(8, 3, padding="same")(value))
    value = keras.Conv2D(7, 2)(keras.UpSampling2D()(keras.Conv2DTranspose(9, 3, strides=2)(value)))
    value = keras.Permute((3, 1, 2))(keras.Cropping2D(8)(value))
    return keras.Flatten()(value)


def _sequence(keras: Any, value: Any) -> Any:
    value = keras.Conv1D(8, 3, activation="relu")(keras.Reshape((36, 12))(value))
    value = keras.BatchNormalization()(keras.Conv1DTranspose(10, 3)(value))
    value = keras.SeparableConv1D(12, 3)(keras.MaxPooling1D(2)(value))
    value = keras.Add()([keras.Dense(12)(keras.LayerNormalization()(value)), value])
    return keras.GlobalAveragePooling1D()(keras.Dense(10, activation="gelu")(value))


def _shared(keras: Any, value: Any) -> Any:
    twice = keras.Conv2D(8, 3, padding="same", activation="relu")
    value = twice(twice(keras.Conv2D(8, 1)(value)))
    return keras.GlobalAveragePooling2D()(keras.Subtract()([value, keras.Conv2D(8, 1)(value)]))


def _operations(keras: Any, value: Any) -> Any:
    value = keras.Conv2D(10, 3, padding="same")(value)
    value = value * keras.Activation("hard_sigmoid")(value + 1.0)
    return keras.Flatten()(keras.Conv2D(6, 3)(value - keras.Conv2D(10, 1)(value) * 0.5))


def _nested(keras: Any, value: Any) -> Any:
    inner = keras.Input(SHAPE)
    module = require(keras.__name__.partition(".")[0])
    base = module.Model(inner, _residual(keras, inner), name="base")
    head = module.Sequential([keras.Dense(9, activation="relu"), keras.Dropout(0.2)], name="head")
    return head(base(value))


# How many channels of each network can go: those of the layers that no other gives its own to.
NETWORKS: dict[Callable[[Any, Any], Any], int] = {
    _residual: 12 + 10 + 10,
    _dense_blocks: 6 + 8 + 8,
    _gated: 9 + 4 + 1,
    _flattened: 6 + 14 + 11,
    _grouped: 2 + 3 + 2,  # 4 groups in pairs; each third of a group of the next, which the last takes by fours
    _separable: 8 + 10 + 9 + 7,
    _sequence: 8 + 10 + 10,
    _shared: 8,
    _operations: 10 + 6,
    _nested: 12 + 10 + 10 + 9,
}
# Both generations, one of them only where there is time: a network is rebuilt to the same layers from either.
_FAST = [(network, 2 + index % 2) for index, network in enumerate(NETWORKS)]
_SLOW = [(network, 3 - index % 2) for index, network in enumerate(NETWORKS)]
CASES = [
    pytest.param(network, generation, marks=marks, id=f"{network.__name__[1:]}-keras{generation}")
    for cases, marks in ((_FAST, ()), (_SLOW, pytest.mark.slow))
    for network, generation in cases
]


@cache
def built(network: Callable[[Any, Any], Any], generation: int, folder: Path) -> tuple[Any, Channels]:
    """A network as the rebuild gives it, no weight of it zero, and its channels."""
    keras = require("keras" if generation == 3 else "tf_keras")
    keras.utils.set_random_seed(3)
    image = keras.Input(SHAPE, name="image")
    value = network(keras.layers, image)
    value = keras.layers.Flatten()(value) if len(value.shape) > 2 else value
    model = keras.Model(image, keras.layers.Dense(4)(value))
    generator = np.random.default_rng(7)
    model.set_weights([value if value.ndim > 1 else generator.uniform(0.2, 1.0, value.shape) for value in model.get_weights()])
    path = folder / f"{network.__name__}{generation}{'.keras' if generation == 3 else '.h5'}"
    model.save(path)
    flat = rebuild(load_model(path)).model
    return flat, trace_channels(flat)


def assert_proven(model: Any, channels: Channels, stays: np.ndarray) -> None:
    images = np.random.default_rng(0).normal(0, 2, (3, *model.input_shape[1:])).astype(np.float32)
    expected, found = zeroed(model, channels, stays)(images).numpy(), without(model, channels, stays)(images).numpy()
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def chosen(channels: Channels, seed: int, share: float) -> np.ndarray:
    """Which channels stay: any, but at least one of each group."""
    generator = np.random.default_rng(seed)
    stays = generator.uniform(size=channels.count) >= share
    for group in channels.groups:
        stays[generator.choice(group.channels)] = True
    return stays | (np.arange(channels.count) == 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize(("network", "generation"), CASES)
@settings(max_examples=2, deadline=None)
@given(seed=some.integers(0, 2**32 - 1), share=some.floats(0.1, 0.9))
def test_removing_is_setting_to_zero(folder, network, generation, seed, share):
    model, channels = built(network, generation, folder)
    assert channels.count - 1 == NETWORKS[network]
    stays = chosen(channels, seed, share)
    assert_proven(model, channels, stays)


@pytest.mark.parametrize(("network", "generation"), CASES)
def test_compensation_fits_every_network(folder, network, generation):
    """The smaller model has the same shapes, and on these images errs no more than without.

    Each kernel's guess is the best for that kernel alone: what several make together may err a little more, a tenth here.
    """
    model, channels = built(network, generation, folder)
    stays = chosen(channels, 1, 0.4)
    images = np.random.default_rng(0).normal(0, 2, (96, *model.input_shape[1:])).astype(np.float32)
    expected, plain = model(images).numpy(), without(model, channels, stays)
    changed = copy_model(model)
    compensate(changed, trace_channels(changed), stays, [images[:64], images[64:]])
    made = without(changed, trace_channels(changed), stays)
    assert [value.shape for value in made.get_weights()] == [value.shape for value in plain.get_weights()]
    errors = [np.square(one(images).numpy() - expected).mean() for one in (plain, made)]
    assert errors[1] <= 1.1 * errors[0]


def test_what_keeps_channels_is_named(folder):
    _, channels = built(_sequence, 3, folder)
    reasons = list(channels.protected.values())
    together = re.compile(r"layer_normalization(_\d+)?: it takes its channels together")  # Keras counts those of the process
    assert len([reason for reason in reasons if together.search(reason)]) == 2
    assert reasons[-1] == "the classes stay"


def test_a_layer_without_a_rule_keeps_what_enters_it(folder):
    def network(keras: Any, value: Any) -> Any:
        value = keras.Reshape((36, 6))(keras.Conv2D(6, 3, strides=2, padding="same")(keras.Conv2D(5, 3, padding="same")(value)))
        return keras.MultiHeadAttention(2, 3, name="attention")(value, value)

    network.__name__ = "_attending"
    model, channels = built(network, 3, folder)
    assert channels.count - 1 == 5
    held, *_ = reasons = [reason for reason in channels.protected.values() if "MultiHeadAttention is not known here" in reason]
    assert channels.protected["attention"] == held
    assert len(reasons) == 2  # the convolution before it, and itself
    assert_proven(model, channels, chosen(channels, 0, 0.5))


def test_fewer_values_are_dropped_less_often(folder):
    """What keeps half of its channels drops half the share; what is called for several tensors stays as it is, and binds none."""

    def network(keras: Any, value: Any) -> Any:
        twice = keras.Dropout(0.5, name="twice")
        value = keras.SpatialDropout2D(0.4, name="maps")(twice(keras.Conv2D(8, 3)(value)))
        return twice(keras.Dropout(0.2, name="hidden")(keras.Dense(10)(keras.Flatten()(value))))

    network.__name__ = "_dropping"
    model, channels = built(network, 3, folder)
    assert channels.count - 1 == 8 + 10
    stays = channels.all.copy()
    for group, going in zip(channels.groups, (4, 3), strict=True):
        stays[group.channels[:going]] = False
    assert_proven(model, channels, stays)
    rates = {name: without(model, channels, stays).get_layer(name).rate for name in ("maps", "hidden", "twice")}
    assert rates == pytest.approx({"maps": 0.4 * 4 / 8, "hidden": 0.2 * 7 / 10, "twice": 0.5})
