"""Normalisation changes nothing that a model computes, and leaves operations that int8 kernels have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecls.compression.normalise import normalise
from edgecls.system.extras import require

# float32 sums of at most a thousand products: in another order, and with scales multiplied in beforehand, they differ by some ulps.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def tf_keras():
    return require("tf_keras")


def model_of(tf_keras, build: Callable[[Any, Any], Any], shape=(8, 8, 3)) -> Any:
    """A model with weights that are random throughout, statistics of BatchNorms included."""
    tf_keras.utils.set_random_seed(3)
    inputs = tf_keras.Input(shape, name="image")
    model = tf_keras.Model(inputs, build(tf_keras.layers, inputs))
    generator = np.random.default_rng(7)
    for layer in model.layers:
        if layer.weights and type(layer).__name__ != "Normalization":
            layer.set_weights(
                [generator.uniform(0.2, 1.0, value.shape) - 0.1 * (value.ndim > 1) for value in layer.get_weights()]
            )
    return model


def assert_same(model: Any, normalised: Any) -> None:
    images = np.random.default_rng(0).normal(0, 2, (5, *model.input_shape[1:])).astype(np.float32)
    expected, found = model(images).numpy(), normalised(images).numpy()
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]


def test_layers_that_are_called_twice(tf_keras):
    """As in a network that looks at the image and at its mirror image."""

    def twice(keras: Any, image: Any) -> Any:
        shared = [
            keras.Rescaling(0.1, 0.5), keras.Conv2D(4, 3, padding="same"), keras.BatchNormalization(), keras.Activation("swish"),
            keras.GlobalMaxPooling2D(),
        ]  # fmt: skip
        values = [image, -image]
        for layer in shared:
            values = [layer(value) for value in values]
        return keras.Dense(3)(keras.Concatenate()(values))

    model = model_of(tf_keras, twice)
    assert_same(model, normalise(model).model)


def before_norm(*layers: str) -> Callable[[Any, Any], Any]:
    return lambda keras, value: keras.BatchNormalization()(_stack(keras, value, *layers))


def _stack(keras: Any, value: Any, *layers: str) -> Any:
    for text in layers:
        value = eval(text, {"keras": keras})(value)
    return value


@pytest.mark.parametrize(
    "layer",
    [
        "keras.Conv2D(4, 3, padding='same', strides=2, use_bias=False)",
        "keras.Conv2D(4, 3)",
        "keras.DepthwiseConv2D(3, depth_multiplier=2)",
        "keras.Conv2DTranspose(5, 3, strides=2, padding='same')",
        "keras.Dense(6)",
    ],
)
def test_batch_norm_folds_into_the_layer_before(tf_keras, layer):
    model = model_of(tf_keras, before_norm(layer))
    done = normalise(model)
    assert_same(model, done.model)
    assert kinds(done.model) == [layer.partition("(")[0].removeprefix("keras.")]
    assert list(done.actions) == [name for name in (item.name for item in model.layers) if name.startswith("batch")]


def test_separable_convolution_becomes_two(tf_keras):
    model = model_of(
        tf_keras, before_norm("keras.SeparableConv2D(5, 3, depth_multiplier=2, padding='same', strides=2, use_bias=False)")
    )
    done = normalise(model)
    assert_same(model, done.model)
    assert kinds(done.model) == ["DepthwiseConv2D", "Conv2D"]


NORM = "keras.BatchNormalization()"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["keras.ReLU()", NORM, "keras.Dropout(0.2)", "keras.Conv2D(4, 3)"], ["ReLU", "Dropout", "Conv2D"]),
        (["keras.ReLU()", NORM, "keras.Conv2D(4, 1, strides=2)"], ["ReLU", "Conv2D"]),
        (["keras.ReLU()", NORM, "keras.DepthwiseConv2D(3, depth_multiplier=2)"], ["ReLU", "DepthwiseConv2D"]),
        (
            ["keras.Flatten()", "keras.ReLU()", NORM, "keras.Dropout(0.3)", "keras.Dense(3)"],
            ["Flatten", "ReLU", "Dropout", "Dense"],
        ),
        # Zeros around the image would have to become the shift: not exact, so a step of its own.
        (["keras.ReLU()", NORM, "keras.Conv2D(4, 3, padding='same')"], ["ReLU", "DepthwiseConv2D", "Conv2D"]),
        (["keras.Rescaling(1 / 127.5)", "keras.Conv2D(4, 3, padding='same')"], ["Conv2D"]),
        (["keras.Rescaling(1 / 127.5, -1)", "keras.Conv2D(4, 3, padding='same')"], ["DepthwiseConv2D", "Conv2D"]),
        (
            ["keras.Rescaling(1 / 255)", "keras.Normalization(mean=[1, 2, 3], variance=[4, 5, 6])", "keras.Conv2D(4, 3)"],
            ["Conv2D"],
        ),
        (
            ["keras.ReLU()", NORM, "keras.MaxPooling2D()", "keras.Conv2D(4, 3)"],
            ["ReLU", "DepthwiseConv2D", "MaxPooling2D", "Conv2D"],
        ),
        (["keras.Flatten()", "keras.ReLU()", NORM], ["Flatten", "ReLU", "Reshape", "DepthwiseConv2D", "Reshape"]),
        (["keras.Activation('swish')"], ["Activation", "Multiply"]),
        (["keras.GlobalMaxPooling2D()"], ["MaxPooling2D", "Reshape"]),
    ],
    ids=str,
)
def test_steps_behind_an_activation(tf_keras, layers, expected):
    model = model_of(tf_keras, lambda keras, value: _stack(keras, value, *layers))
    done = normalise(model)
    assert_same(model, done.model)
    assert kinds(done.model) == expected


def test_a_layer_used_twice_is_left_alone(tf_keras):
    def build(keras, value):
        shared = keras.Conv2D(3, 3, padding="same")
        return keras.Add()([keras.BatchNormalization()(shared(value)), shared(keras.ReLU()(value))])

    model = model_of(tf_keras, build)
    done = normalise(model)
    assert_same(model, done.model)
    assert sorted(kinds(done.model)) == ["Add", "Conv2D", "DepthwiseConv2D", "ReLU"]


def test_a_branch_before_the_norm_keeps_its_value(tf_keras):
    def build(keras, value):
        conv = keras.Conv2D(3, 3)(value)
        return keras.Add()([keras.BatchNormalization()(conv), conv])

    model = model_of(tf_keras, build)
    assert_same(model, normalise(model).model)


def test_the_given_model_and_its_zeros_stay(tf_keras):
    model = model_of(tf_keras, before_norm("keras.Conv2D(4, 3)"))
    kernel = model.layers[1].kernel
    kernel.assign(kernel * (np.random.default_rng(0).random(kernel.shape) < 0.5))
    before = kernel.numpy()
    folded = normalise(model).model.layers[1].kernel.numpy()
    np.testing.assert_array_equal(kernel.numpy(), before)
    np.testing.assert_array_equal(folded == 0, before == 0)


def test_normalising_twice_changes_nothing(tf_keras):
    once = normalise(model_of(tf_keras, before_norm("keras.ReLU()"))).model
    twice = normalise(once)
    assert not twice.actions
    for one, other in zip(once.get_weights(), twice.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_factors_of_a_layer_normalization_go_into_the_dense_behind_it(tf_keras):
    model = model_of(
        tf_keras, lambda keras, value: keras.Dense(5)(keras.Dropout(0.2)(keras.LayerNormalization(name="norm")(value)))
    )
    normalised = normalise(model)
    assert_same(model, normalised.model)
    plain = normalised.model.get_layer("norm")
    assert not plain.weights
    assert "folded into dense" in normalised.actions["norm"]


@pytest.mark.parametrize("behind", [("keras.Flatten()", "keras.Dense(4)"), ("keras.Conv2D(4, 1)",)])
def test_they_stay_where_something_else_takes_them(tf_keras, behind):
    model = model_of(tf_keras, lambda keras, value: _stack(keras, value, "keras.LayerNormalization(name='norm')", *behind))
    normalised = normalise(model)
    assert_same(model, normalised.model)
    assert len(normalised.model.get_layer("norm").weights) == 2


def test_a_size_that_is_computed_is_let_through(tf_keras):
    """As own layers do that reshape to `tf.shape(images)[0]`: a number alone, which has no channels."""

    def patches(keras: Any, image: Any) -> Any:
        import tensorflow as tf

        value = tf.reshape(keras.Conv2D(4, 3)(image), [tf.shape(image)[0], -1, 4])
        return keras.Dense(3)(keras.GlobalAveragePooling1D()(value))

    model = model_of(tf_keras, patches)
    assert_same(model, normalise(model).model)
