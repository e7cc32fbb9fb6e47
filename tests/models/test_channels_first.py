"""Models whose input or layers have channels first: computed channels last, as XLA computes the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model
from edgecls.models.rebuild import rebuild

FIRST = {"data_format": "channels_first"}


def network(keras: Any) -> Any:
    """Channels first throughout, with whatever stands between convolutions."""
    layers = keras.layers
    inputs = keras.Input((3, 20, 28))
    value = layers.Conv2D(6, 3, padding="same", **FIRST)(inputs)
    value = layers.BatchNormalization(axis=1)(value)
    left = layers.ReLU()(value)
    right = layers.DepthwiseConv2D(3, padding="same", activation="tanh", **FIRST)(left)
    value = layers.Concatenate(axis=1)([left, right])
    value = layers.ZeroPadding2D(((0, 1), (2, 1)), **FIRST)(value)
    value = layers.MaxPooling2D((2, 3), **FIRST)(value)
    skip = layers.Conv2D(5, 1, **FIRST)(value)
    value = layers.Add()([layers.Conv2D(5, (3, 1), padding="same", **FIRST)(value), skip])
    value = layers.AveragePooling2D(2, **FIRST)(value)
    value = layers.Conv2DTranspose(4, 3, strides=2, padding="same", **FIRST)(value)
    gate = layers.GlobalAveragePooling2D(keepdims=True, **FIRST)(value)
    value = layers.Multiply()([value, layers.Conv2D(4, 1, activation="sigmoid", **FIRST)(gate)])
    flat = layers.Flatten(**FIRST)(value)
    value = layers.Concatenate()([flat, layers.GlobalMaxPooling2D(**FIRST)(value)])
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(value))


def turned(keras: Any) -> Any:
    """Channels first at the input alone."""
    layers = keras.layers
    inputs = keras.Input((3, 20, 28))
    value = layers.Conv2D(6, 3, activation="relu")(layers.Permute((2, 3, 1))(inputs))
    return keras.Model(inputs, layers.Dense(7)(layers.GlobalAveragePooling2D()(value)))


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (5, 3, 20, 28)).astype(np.float32)


def by_xla(tf: Any, model: Any, inputs: np.ndarray) -> np.ndarray:
    """Scores of the model itself: XLA has kernels for channels first on CPUs, TensorFlow has none."""
    return tf.function(lambda image: model(image, training=False), jit_compile=True)(tf.constant(inputs)).numpy()


@pytest.mark.parametrize("build", [network, turned])
def test_it_computes_what_the_model_does(build, framework, tf, saved):
    model = build(framework)
    for weight in model.weights:  # moving averages that change something
        weight.assign(np.random.default_rng(len(weight.shape)).uniform(0.1, 0.9, weight.shape) - 0.3 * (len(weight.shape) > 1))
    loaded = load_model(saved(model, "m.keras"))
    assert (loaded.image_spec.layout, loaded.image_spec.input_shape) == ("CHW", (3, 20, 28))
    # sums of at most a few hundred products below 10, in another order: 1e-5 of the largest score
    expected = by_xla(tf, model, images())
    assert np.abs(loaded.predict(images()) - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_between_convolutions_nothing_is_transposed(framework, saved):
    loaded = load_model(saved(network(framework), "m.keras"))
    assert not any(node.attr["data_format"].s.startswith(b"NC") for node in loaded._graph.node if "data_format" in node.attr)
    of_image, transposed = {"image"}, set()
    for node in loaded._graph.node:  # in an order in which each finds its inputs
        sources = {name.partition(":")[0] for name in node.input}
        if sources & of_image:
            of_image.add(node.name)
            transposed |= sources if node.op == "Transpose" else set()
    assert transposed & of_image == {"image"}
    assert any("computed channels last" in note for note in loaded.notes)


def test_what_computes_channels_first_is_not_trained(framework, saved):
    with pytest.raises(UnsupportedModelError, match=r"channels first.*data_format='channels_last'"):
        rebuild(load_model(saved(network(framework), "m.keras")))


def test_what_only_takes_channels_first_is_trained(framework, saved):
    loaded = load_model(saved(turned(framework), "m.keras"))
    assert rebuild(loaded).model.input_shape == (None, 3, 20, 28)


def test_three_dimensions_are_refused(framework, saved: Any, tmp_path: Path):
    layers = framework.layers
    inputs = framework.Input((3, 8, 8))
    value = layers.Conv3D(2, (2, 3, 3), **FIRST)(layers.Reshape((1, 3, 8, 8))(inputs))
    path = saved(framework.Model(inputs, layers.Dense(2)(layers.Flatten()(value))), "m.keras")
    with pytest.raises(UnsupportedModelError, match="channels last"):
        load_model(path)
