"""The rebuild: one flat tf_keras model that computes what the source computes, or an error that names the layer."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from application_models import SIZES, application
from edgecls.errors import StageError, UnsupportedModelError
from edgecls.models import activations, load_model, rebuild, written_out
from edgecls.models.counterparts import NoCounterpartError, make_counterpart
from edgecls.models.rebuild import AMPLIFIED, TOLERANCE
from zoo_models import CASES


def assert_flat(model, tf_keras) -> None:
    assert isinstance(model, tf_keras.Model)
    assert not [layer.name for layer in model.layers if hasattr(layer, "layers")]
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    for layer in model.layers:  # activations stand alone
        activation = getattr(layer, "activation", None)
        if activation is not None and type(layer).__name__ != "Activation":
            assert activation.__name__ == "linear", layer.name


@pytest.mark.parametrize("item", [case for case in CASES if case.id != "saved_model_tf1"])
def test_real_models(item, zoo, tf_keras):
    loaded = load_model(zoo / item.path, weights=zoo / item.weights if item.weights else None)
    real = np.random.default_rng(3).random((3, *loaded.image_spec.input_shape), dtype=np.float32)
    rebuilt = rebuild(loaded, real)
    assert_flat(rebuilt.model, tf_keras)
    assert rebuilt.largest_difference <= TOLERANCE
    expected, found = loaded.predict(real), rebuilt.model.predict(real, verbose=0)
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", [*SIZES, "ConvNeXtTiny", "EfficientNetV2B0"])
def test_applications(name, generation, request, saved, tf_keras):
    framework = request.getfixturevalue(generation)
    path = saved(application(framework, name, SIZES.get(name, 96)), "model.keras")
    rebuilt = rebuild(load_model(path))
    assert_flat(rebuilt.model, tf_keras)
    # Above the tolerance only where every layer alone is within it, and then it is said.
    assert rebuilt.largest_difference <= (AMPLIFIED if rebuilt.notes else TOLERANCE)


def test_transfer_learning_is_opened(keras, tf_keras, saved):
    """A frozen base called with training=False inside a model that augments: all layers in one model, each training as it did."""
    base = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm")],
        name="base",
    )
    inputs = keras.Input((16, 16, 3))
    values = keras.layers.RandomFlip("horizontal")(inputs)
    values = base(keras.layers.Rescaling(1 / 127.5, -1)(values), training=False)
    values = keras.layers.BatchNormalization(name="own_norm")(values)
    values = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(values))
    path = saved(keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="conv_")(values)), "model.keras")
    model = rebuild(load_model(path)).model
    assert_flat(model, tf_keras)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert {"RandomFlip", "Dropout"} <= set(kinds)
    images = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)
    assert np.array_equal(model(images, training=False), model(images, training=False))
    assert not np.array_equal(model(images, training=True), model(images, training=True))  # augmentation and dropout work
    before = {layer.name: layer.moving_mean.numpy() for layer in model.layers if hasattr(layer, "moving_mean")}
    model(images, training=True)
    changed = {name for name in before if not np.array_equal(before[name], model.get_layer(name).moving_mean.numpy())}
    assert changed == {"own_norm"}


def test_shared_layers_stay_shared(framework, saved):
    layers = framework.layers
    shared = layers.Dense(5, name="shared", activation="relu")
    inputs = framework.Input((4, 4, 1))
    flat = layers.Flatten()(inputs)
    first, second = shared(flat), shared(layers.Dropout(0.3)(flat))
    path = saved(framework.Model(inputs, layers.Dense(3)(layers.Concatenate()([first, second]))), "model.keras")
    model = rebuild(load_model(path)).model
    assert len([layer for layer in model.layers if type(layer).__name__ == "Dense"]) == 2
    assert len(model.get_layer("shared").inbound_nodes) == 2


ACTIVATIONS = [
    "relu",
    "relu6",
    "silu",
    "gelu",
    "elu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "mish",
    "softplus",
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_keras_3(keras, saved, activation):
    inputs = keras.Input((6, 6, 2))
    values = keras.layers.Conv2D(3, 3, activation=activation)(inputs)
    path = saved(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(values))), "model.keras")
    rebuild(load_model(path))  # proves it


def test_arithmetic_of_keras_3(keras, saved):
    inputs = keras.Input((6, 6, 2))
    conv = keras.layers.Conv2D(2, 1)(inputs)
    values = keras.ops.relu6(conv + 3) * (1 / 6) + conv * conv - conv / 2
    values = keras.ops.mean(keras.ops.maximum(values, -inputs), axis=(1, 2), keepdims=True)
    values = keras.ops.reshape(keras.ops.silu(values), (-1, 2))
    path = saved(keras.Model(inputs, keras.layers.Dense(3)(values)), "model.keras")
    rebuild(load_model(path))


@pytest.mark.slow
def test_saves_as_any_keras_2_model(framework, saved):
    """What is rebuilt needs no code of this project to be read again, arithmetic included."""
    model = application(framework, "MobileNetV3Small", 32)
    flat = rebuild(load_model(saved(model, "model.keras"))).model
    again = load_model(saved(flat, "flat.keras"))
    images = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(again.model(images, training=False), flat(images, training=False))


def test_one_of_several_outputs(framework, saved):
    inputs = framework.Input((6, 6, 2))
    flat = framework.layers.Flatten()(inputs)
    outputs = [framework.layers.Dense(count, name=f"head{count}")(flat) for count in (2, 5)]
    path = saved(framework.Model(inputs, outputs), "model.keras")
    loaded = load_model(path, output="head5")
    model = rebuild(loaded).model
    assert model.output_shape == (None, 5)
    assert "head2" not in [layer.name for layer in model.layers]


def test_scores_of_an_image_shape_become_a_vector(framework, saved):
    inputs = framework.Input((8, 8, 1))
    values = framework.layers.GlobalAveragePooling2D(keepdims=True)(framework.layers.Conv2D(4, 3)(inputs))
    loaded = load_model(saved(framework.Model(inputs, values), "model.keras"))
    assert rebuild(loaded).model.output_shape == (None, 4)


def test_refuses_a_model_without_layers(zoo):
    with pytest.raises(UnsupportedModelError, match="without layers to train"):
        rebuild(load_model(zoo / "mnist_tensorspace/saved_model_tf1"))


def normalising(keras, saved):
    inputs = keras.Input((6, 6, 2))
    values = keras.layers.RMSNormalization(name="root")(keras.layers.Flatten()(inputs))
    return load_model(saved(keras.Model(inputs, keras.layers.Dense(2)(values)), "model.keras"))


def test_a_layer_that_tf_keras_does_not_have_is_written_out(keras, saved):
    rebuilt = rebuild(normalising(keras, saved))
    assert rebuilt.largest_difference <= TOLERANCE
    (note,) = rebuilt.notes
    assert note.startswith("root (RMSNormalization) is written out as the functions it calls: tf_keras has no such layer")
    assert note.endswith("its weights stay as they are.")
    images = np.random.default_rng(2).uniform(0, 255, (2, 6, 6, 2)).astype(np.float32)
    again = load_model(saved(rebuilt.model, "flat.keras"))
    np.testing.assert_array_equal(again.model(images, training=False), rebuilt.model(images, training=False))


def test_names_a_layer_that_cannot_be_written_out(keras, saved, monkeypatch):
    monkeypatch.setattr(written_out, "_FUNCTIONS", {})
    with pytest.raises(
        UnsupportedModelError, match=r"RMSNormalization 'root': .* no such layer, and written out: it computes with"
    ):
        rebuild(normalising(keras, saved))


def misread(keras, saved, monkeypatch, place):
    """A model, one activation of which is translated wrongly."""
    stack = [keras.layers.Dense(7, activation="gelu" if index == place else "relu", name=f"dense{index}") for index in range(4)]
    path = saved(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), *stack]), "model.keras")
    monkeypatch.setitem(activations.KERAS3, "gelu", "swish")
    return load_model(path)


@pytest.mark.parametrize("place", [1, 2])
def test_a_layer_whose_counterpart_computes_otherwise_is_written_out(keras, saved, monkeypatch, place):
    rebuilt = rebuild(misread(keras, saved, monkeypatch, place))
    assert rebuilt.largest_difference <= TOLERANCE
    (note,) = rebuilt.notes
    assert note.startswith(f"dense{place} (Dense) is written out as the functions it calls: that of tf_keras differs by")


def test_names_the_layer_that_differs_in_the_end(keras, saved, monkeypatch):
    monkeypatch.setattr(import_module("edgecls.models.rebuild"), "write_out", lambda call, free_name: [call.args[0][:, :7] * 2.0])
    with pytest.raises(StageError, match="Dense 'dense1' alone differs"):
        rebuild(misread(keras, saved, monkeypatch, 1))


@pytest.mark.parametrize(("kind", "settings"), [("AugMix", {}), ("RandomCrop", {"height": 5, "width": 5})])
def test_an_augmentation_that_changes_nothing_at_inference_is_left_out(keras, saved, kind, settings):
    """RandomCrop of Keras 3 returns its input there; that of Keras 2 resizes."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    values = keras.layers.Conv2D(2, 3)(getattr(keras.layers, kind)(**settings, name="augment")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(values)))
    rebuilt = rebuild(load_model(saved(model, "model.keras")))
    assert rebuilt.notes[0].startswith(f"augment ({kind}) is left out: it changes nothing at inference")
    assert kind != "RandomCrop" or rebuilt.notes[0].endswith("and that of tf_keras gives another shape.")
    assert "augment" not in [layer.name for layer in rebuilt.model.layers]


def test_a_setting_is_no_default_that_it_merely_equals(keras, tf_keras):
    """tf_keras pads no Resizing; 0.0, the default of Keras 3, asks for nothing. An integer 0 equals it and is another."""
    make_counterpart(tf_keras, keras.layers.Resizing(4, 4, fill_value=0.0), 3)
    with pytest.raises(NoCounterpartError, match="its setting fill_value=0 is unknown to tf_keras"):
        make_counterpart(tf_keras, keras.layers.Resizing(4, 4, fill_value=0), 3)


@pytest.mark.parametrize("key", ["...", "..., ::-1", "0:1, ..., 1:", "..., 1"])
def test_slices_with_dots_are_saved(tf_keras, saved, key):
    inputs = tf_keras.Input((4, 4, 3))
    values = tf_keras.layers.Flatten()(eval(f"inputs[{key}]" if not key.startswith("0") else f"inputs[:, {key}]"))
    path = saved(tf_keras.Model(inputs, tf_keras.layers.Dense(2)(values)), "model.h5")
    flat = rebuild(load_model(path)).model
    again = load_model(saved(flat, "flat.keras"))
    images = np.random.default_rng(2).uniform(0, 255, (2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(again.model(images, training=False), flat(images, training=False))
