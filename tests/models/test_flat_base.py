"""A classifier file as a base: of either Keras generation, nested, at another size; what it computes stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model
from edgecls.models.flat_base import FlatBase, flat_base, resized
from edgecls.records.training import TrainingPlan
from edgecls.training.networks import build_network
from edgecls.workflow.training_body import choose_body


def nested(keras: Any, head: str = "dense") -> Any:
    """A Sequential of a scaling and a nested model, with a head behind it."""
    layers = keras.layers
    keras.utils.set_random_seed(5)
    inner = keras.Input((16, 16, 3))
    value = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="first")(inner)
    value = layers.BatchNormalization(name="norm")(value)
    skip = layers.ReLU(max_value=6.0)(value)
    value = layers.DepthwiseConv2D(3, padding="same", name="deep")(skip)
    value = layers.Add(name="sum")([value, skip])
    body = keras.Model(inner, value, name="body")
    body.get_layer("norm").set_weights([np.full(6, value, np.float32) for value in (1.5, 0.1, 0.2, 0.7)])
    if head == "dense":
        top = [layers.GlobalAveragePooling2D(), layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")]
    else:  # as MobileNetV1 of keras.applications ends
        top = [
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Conv2D(3, 1),
            layers.Reshape((3,)),
            layers.Activation("softmax"),
        ]
    return keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 127.5, -1), body, *top])


@pytest.mark.parametrize(("package", "head"), [("keras", "dense"), ("tf_keras", "convolution")])
def test_features_are_those_of_the_source(package: str, head: str, tmp_path: Path):
    keras: Any = __import__(package)
    source = nested(keras, head)
    path = tmp_path / ("base.keras" if package == "keras" else "base.h5")
    source.save(path)
    loaded = load_model(path)
    base = flat_base(loaded)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    expected = source.get_layer("body")(source.layers[0](pixels), training=False)
    found = np.asarray(base.model(pixels, training=False))
    assert np.allclose(found, expected, atol=1e-5 * np.abs(expected).max())  # the same sums, perhaps in another order
    assert [layer.name for layer in base.layers if layer.weights] == ["first", "norm", "deep"]
    assert len(base.cut) == len(source.layers) - 2 and not any(hasattr(layer, "layers") for layer in base.layers)


def test_a_base_takes_images_of_another_size(tmp_path: Path):
    import keras

    source = nested(keras)
    source.save(tmp_path / "base.keras")
    base = flat_base(load_model(tmp_path / "base.keras"))
    pixels = keras.Input((24, 20, 3))
    features, layers = resized(base, pixels)
    assert features.shape == (None, 12, 10, 6)
    for layer, before in zip(layers, base.layers, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(layer.get_weights(), before.get_weights(), strict=True))
    with pytest.raises(UnsupportedModelError, match="a base that takes images of 24x20x1"):
        resized(base, keras.Input((24, 20, 1)))


@pytest.mark.parametrize("size", [16, 20])
def test_networks_of_one_base_share_no_layer(size: int, tmp_path: Path):
    """What `train --rates` and `--find-rate` make one after another: each begins with the weights of the file."""
    import keras

    source = nested(keras)
    source.save(tmp_path / "base.keras")
    base = flat_base(load_model(tmp_path / "base.keras"))
    pixels = keras.Input((size, size, 3))
    (_, first), (_, second) = resized(base, pixels), resized(base, pixels)
    with_weights = [layer for layer in first if layer.weights]
    assert {id(layer) for layer in with_weights}.isdisjoint(id(layer) for layer in (*second, *base.layers))
    for layer in with_weights:
        layer.set_weights([value + 1 for value in layer.get_weights()])
    for layer, name in zip((layer for layer in second if layer.weights), ("first", "norm", "deep"), strict=True):
        expected = source.get_layer("body").get_layer(name).get_weights()
        assert all(np.array_equal(one, other) for one, other in zip(layer.get_weights(), expected, strict=True))


def test_dropout_of_a_base_follows_the_seed(tmp_path: Path):
    import keras

    layers = keras.layers
    body = [keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Dropout(0.5), layers.Conv2D(4, 3)]
    keras.Sequential([*body, layers.GlobalAveragePooling2D(), layers.Dense(2)]).save(tmp_path / "base.keras")
    images, answers = np.ones((2, 8, 8, 1), np.float32), []
    for _ in range(2):
        base = flat_base(load_model(tmp_path / "base.keras"))
        keras.utils.set_random_seed(3)
        pixels = keras.Input((8, 8, 1))
        answers.append(np.asarray(keras.Model(pixels, resized(base, pixels)[0])(images, training=True)))
    assert np.array_equal(*answers)


def test_layers_of_one_name_in_two_nested_models(tmp_path: Path):
    """As where a model is loaded and put before others of a new session, which Keras counts from the start again."""
    import keras

    layers = keras.layers
    first, second = (
        keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(1, 3, padding="same", name="conv2d")], name=name)
        for name in ("first", "second")
    )
    source = keras.Sequential([layers.Input((8, 8, 1)), first, second, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    source.save(tmp_path / "base.keras")
    base = flat_base(load_model(tmp_path / "base.keras"))
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    assert np.allclose(base.model(images), second(first(images)), atol=1e-6)


@pytest.mark.parametrize("size", [8, 12])
def test_operations_of_one_name_in_two_nested_models(size: int, tmp_path: Path):
    """Arithmetic is counted anew in every session, too; here with settings, and on the left of what it takes from."""
    import keras

    layers, ops = keras.layers, keras.ops

    def part(factor: float) -> Any:
        keras.backend.clear_session()
        pixels = layers.Input((None, None, 2))
        value = ops.concatenate(
            [pixels / factor, 1.0 - pixels, ops.pad(pixels[:, 1:], ((0, 0), (1, 0), (0, 0), (0, 0)))], axis=-1
        )
        return keras.Model(pixels, layers.Conv2D(2, 3, padding="same")(value), name=f"part_{factor:.0f}")

    parts = part(255.0), part(2.0)
    pixels = layers.Input((8, 8, 2))
    features = parts[1](parts[0](pixels / 3.0))
    keras.Model(pixels, layers.Dense(2)(layers.GlobalAveragePooling2D()(features))).save(tmp_path / "base.keras")
    base = flat_base(load_model(tmp_path / "base.keras"))
    images = np.random.default_rng(0).random((2, size, size, 2), np.float32)
    expected = np.asarray(parts[1](parts[0](images / 3.0)))
    pixels = layers.Input((size, size, 2))
    made, called = resized(base, pixels)
    assert np.allclose(keras.Model(pixels, made)(images), expected, atol=1e-6)
    assert all(layer.name.startswith("base_") for layer in called)
    assert size != 8 or np.allclose(base.model(images), expected, atol=1e-6)


@pytest.mark.parametrize(("size", "remedy"), [(8, "give a base whose layers"), (12, "leave --size out")])
def test_a_base_that_cannot_be_made_anew_says_what_to_do(size: int, remedy: str):
    import keras

    class Single(keras.layers.Layer):
        def __init__(self, factor: float, **settings: Any):
            super().__init__(**settings)
            self.factor = factor

        def call(self, pixels: Any) -> Any:
            return pixels * self.factor

        def get_config(self) -> dict[str, Any]:
            return super().get_config()

    model = keras.Sequential([keras.Input((8, 8, 1)), Single(2.0)])
    with pytest.raises(UnsupportedModelError) as refusal:
        resized(FlatBase(model, tuple(model.layers), ()), keras.Input((size, size, 1)))
    assert refusal.value.remedy.startswith(remedy)


PLAIN = """
import keras

class Plain(keras.layers.Layer):
    def __init__(self, **settings):
        super().__init__(name="plain")

    def call(self, pixels):
        return keras.ops.relu(pixels)
"""


def test_layers_that_keep_their_name_are_refused_with_what_to_do(tmp_path: Path):
    import keras

    layers = keras.layers
    defined: dict[str, Any] = {}
    (tmp_path / "plain.py").write_text(PLAIN)
    exec(PLAIN, defined)
    parts = [keras.Sequential([layers.Input((8, 8, 1)), defined["Plain"]()], name=name) for name in ("first", "second")]
    source = keras.Sequential([layers.Input((8, 8, 1)), *parts, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    source.save(tmp_path / "base.keras")
    loaded = load_model(tmp_path / "base.keras", custom_objects=tmp_path / "plain.py", allow_code=True)
    with pytest.raises(UnsupportedModelError, match=r"a base of layers that Keras 3 connects.*\n?.*give a base"):
        flat_base(loaded)


def test_a_new_head_has_layers_called_as_those_of_the_base(tmp_path: Path):
    """Keras calls the first of a kind alike in every session: `dropout`, `batch_normalization`."""
    import keras

    layers = keras.layers
    names = ("rescaling", "dropout", "batch_normalization", "dense", "scores")
    made = [layers.Rescaling(2.0), layers.Dropout(0.1), layers.BatchNormalization(), layers.Conv2D(4, 3), layers.Conv2D(4, 3)]
    body = [type(layer).from_config({**layer.get_config(), "name": name}) for layer, name in zip(made, names, strict=True)]
    top = [layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 1)), *body, *top]).save(tmp_path / "base.keras")
    plan = TrainingPlan(model=str(tmp_path / "base.keras"), hidden=(8,))
    chosen = choose_body(plan, None, "0..1")
    assert chosen.spec is not None
    keras.backend.clear_session()  # as at the start of a process
    network = build_network(plan, chosen.spec, 2, chosen.build)
    assert len(network.base) == len(body) and network.model.output_shape == (None, 2)


def test_what_has_no_feature_map_is_no_base(tmp_path: Path):
    import keras

    layers = keras.layers
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")]).save(
        tmp_path / "flat.keras"
    )
    with pytest.raises(UnsupportedModelError, match="a classifier with feature maps"):
        flat_base(load_model(tmp_path / "flat.keras"))
