"""Files of every kind the table of inputs names, made here by the frameworks themselves."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from written_models import convolution, edit_h5, run_frozen, small_classifier

from edgecls.errors import InputError, ModelFileError, UnsupportedModelError
from edgecls.models import load_model
from edgecls.models.model_file import examine

RNG = np.random.default_rng(0)


def check(path: Path, expected: np.ndarray, inputs: np.ndarray, tf, tmp_path: Path, **options):
    """Load, and compare predictions and frozen graph with what the model gave before it was saved."""
    model = load_model(path, **options)
    # identical weights and operations; only the batch in which they are computed differs
    np.testing.assert_allclose(model.predict(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(run_frozen(model.freeze(tmp_path), inputs, tf), expected, atol=1e-5)
    return model


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m.keras"])
def test_whole_models(framework, saved, tmp_path, tf, name):
    keras_model = small_classifier(framework)
    keras_model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    inputs = RNG.random((5, 8, 8, 3), dtype=np.float32)
    keras_model.fit(inputs, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]], verbose=0)
    model = check(saved(keras_model, name), keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    generation = 2 if framework.__name__ == "tf_keras" else 3
    assert model.source.format == f"keras{generation}-{'keras' if name == 'm.keras' else 'h5'}"
    assert model.training_refusal is None
    assert model.repairs == []


def test_suffix_does_not_matter(framework, saved, tmp_path, tf):
    keras_model = small_classifier(framework)
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    path = saved(keras_model, "m.h5").rename(tmp_path / "model.bin")
    check(path, keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)


def test_h5_without_version_and_with_bytes(framework, saved, tmp_path, tf):
    keras_model = small_classifier(framework)
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    path = saved(keras_model, "m.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
        file.attrs["model_config"] = np.bytes_(file.attrs["model_config"])
    check(path, keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)


def test_keras2_saved_model(tf_keras, tmp_path, tf):
    keras_model = small_classifier(tf_keras)
    inputs = RNG.random((3, 8, 8, 3), dtype=np.float32)
    keras_model.save(str(tmp_path / "folder"))
    model = check(tmp_path / "folder", keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert model.source.format == "keras2-savedmodel"
    assert model.training_refusal is None


def test_keras2_saved_model_with_custom_class(tf_keras, tmp_path, tf):
    class Doubling(tf_keras.layers.Layer):
        def call(self, value):
            return value * 2

    keras_model = small_classifier(tf_keras, Doubling())
    inputs = RNG.random((3, 8, 8, 3), dtype=np.float32)
    keras_model.save(str(tmp_path / "folder"))
    model = check(tmp_path / "folder", keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert model.training_refusal is not None
    assert "custom classes" in model.notes[0]


def test_keras3_export(keras, tmp_path, tf):
    keras_model = small_classifier(keras)
    inputs = RNG.random((3, 8, 8, 3), dtype=np.float32)
    keras_model.export(str(tmp_path / "folder"), verbose=False)
    model = check(tmp_path / "folder", keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert model.source.format == "savedmodel"
    assert model.training_refusal is not None
    assert "without layers to train" in model.training_refusal.found


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_architecture_and_weights(framework, tmp_path, tf, name):
    keras_model = small_classifier(framework)
    if framework.__name__ == "keras" and name == "w.h5":
        weights = tmp_path / "w.h5"  # the whole model also holds the weights
        keras_model.save(str(weights))
    else:
        weights = tmp_path / name
        keras_model.save_weights(str(weights))
    (tmp_path / "model.json").write_text(keras_model.to_json())
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    check(tmp_path / "model.json", keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path, weights=weights)
    with pytest.raises(ModelFileError, match="architecture alone"):
        load_model(tmp_path / "model.json")
    if name == "w.weights.h5":
        with pytest.raises(ModelFileError, match="weights alone"):
            load_model(weights)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_architecture_as_windows_writes_it(tmp_path, encoding):
    config = {
        "class_name": "Sequential",
        "config": {"name": "größe", "layers": []},
        "keras_version": "2.15.0",
        "backend": "tensorflow",
    }
    (tmp_path / "model.json").write_text(json.dumps(config, ensure_ascii=False), encoding=encoding)
    assert examine(tmp_path / "model.json").config == config


def test_architecture_written_as_a_text_in_a_text(tmp_path):
    config = {"class_name": "Sequential", "config": {"layers": []}, "keras_version": "2.15.0", "backend": "tensorflow"}
    (tmp_path / "model.json").write_text(json.dumps(json.dumps(config)))  # json.dump(model.to_json(), file)
    assert examine(tmp_path / "model.json").config == config
    (tmp_path / "model.json").write_text('"a text"')
    with pytest.raises(ModelFileError, match="an architecture in JSON"):
        examine(tmp_path / "model.json")


def test_old_weights_under_a_new_name(tf_keras, tmp_path, tf):
    keras_model = small_classifier(tf_keras)
    keras_model.save_weights(str(tmp_path / "w.h5"))
    weights = (tmp_path / "w.h5").rename(tmp_path / "old.weights.h5")
    (tmp_path / "model.json").write_text(keras_model.to_json())
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    check(tmp_path / "model.json", keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path, weights=weights)


def test_fixed_batch_becomes_one(framework, saved, tmp_path, tf):
    layers = framework.layers
    batch = {"batch_shape": (4, 8, 8, 3)}
    keras_model = framework.Sequential(
        [framework.Input(**batch), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    inputs = RNG.random((4, 8, 8, 3), dtype=np.float32)
    expected = keras_model.predict(inputs, batch_size=4, verbose=0)
    model = check(saved(keras_model, "m.h5"), expected, inputs, tf, tmp_path)
    assert any("batch size 4 freed" in repair.action for repair in model.repairs)
    np.testing.assert_allclose(model.predict(inputs[:3]), expected[:3], atol=1e-5)


def test_fixed_batch_of_a_saved_model(tf, tmp_path):
    weights = tf.Variable(RNG.random((64, 3), dtype=np.float32))
    module = tf.Module()
    module.weights = weights
    module.serve = tf.function(
        lambda image: {"scores": tf.nn.softmax(tf.reshape(image, (-1, 64)) @ weights)},
        input_signature=[tf.TensorSpec((4, 8, 8, 1), tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"anything": module.serve})
    inputs = RNG.random((6, 8, 8, 1), dtype=np.float32)
    check(tmp_path / "folder", tf.nn.softmax(inputs.reshape(6, 64) @ weights.numpy()).numpy(), inputs, tf, tmp_path)


@pytest.mark.parametrize(("size", "layout"), [(784, (28, 28, 1)), (3072, (32, 32, 3)), (12288, (64, 64, 3))])
def test_flat_inputs(tf_keras, saved, tmp_path, tf, size, layout):
    keras_model = tf_keras.Sequential([tf_keras.Input((size,)), tf_keras.layers.Dense(3)])
    inputs = RNG.random((2, size), dtype=np.float32)
    model = check(saved(keras_model, "m.h5"), keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    spec = model.image_spec
    assert ((spec.height, spec.width, spec.channels), spec.layout) == (layout, "flat")
    assert model.output_kind == "logits"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(framework, saved, tmp_path, tf, policy):
    setter = (
        framework.mixed_precision.set_dtype_policy
        if framework.__name__ == "keras"
        else framework.mixed_precision.set_global_policy
    )
    setter(policy)
    try:
        path = saved(small_classifier(framework), "m.keras")
    finally:
        setter("float32")
    model = load_model(path)
    assert model.repairs
    assert all(repair.action.endswith("float16 computed as float32") for repair in model.repairs)
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    scores = model.predict(inputs)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(run_frozen(model.freeze(tmp_path), inputs, tf), scores, atol=1e-5)


def test_uint8_input(framework, saved, tmp_path, tf):
    inputs = framework.Input((8, 8, 3), dtype="uint8")
    value = framework.layers.Rescaling(1 / 255)(inputs)
    value = framework.layers.GlobalAveragePooling2D()(value)
    keras_model = framework.Model(inputs, framework.layers.Dense(3, activation="softmax")(value))
    pixels = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    model = check(saved(keras_model, "m.keras"), keras_model.predict(pixels, verbose=0), pixels.astype(np.float32), tf, tmp_path)
    assert (model.image_spec.mean, model.image_spec.std, model.image_spec.provenance) == ((0.0,), (1.0,), "in-model")


def test_augmentation_and_dropout_are_inert(framework, saved, tmp_path, tf):
    layers = framework.layers
    keras_model = small_classifier(
        framework, layers.RandomFlip(), layers.RandomRotation(0.2), layers.Rescaling(1 / 127.5, -1), layers.Dropout(0.9)
    )
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(saved(keras_model, "m.keras"), keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert model.image_spec.provenance == "in-model"


def test_dropout_called_with_training_is_repaired(framework, saved, tmp_path, tf):
    inputs = framework.Input((8, 8, 3))
    value = framework.layers.Flatten()(framework.layers.Dropout(0.5, name="always")(inputs, training=True))
    path = saved(framework.Model(inputs, framework.layers.Dense(2)(value)), "m.keras")
    model = load_model(path)
    assert [(repair.layer, repair.field) for repair in model.repairs] == [("always", "training")]
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(model.predict(images), model.predict(images))


def test_augmentation_model_called_with_training_is_repaired(framework, saved):
    augment = framework.Sequential(
        [framework.Input((8, 8, 3)), framework.layers.RandomFlip(), framework.layers.GaussianNoise(1.0)], name="augment"
    )
    inputs = framework.Input((8, 8, 3))
    value = framework.layers.Flatten()(augment(inputs, training=True))
    model = load_model(saved(framework.Model(inputs, framework.layers.Dense(2)(value)), "m.keras"))
    assert {repair.layer for repair in model.repairs} == {"augment"}
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(model.predict(images), model.predict(images))


def test_several_outputs(framework, saved, tmp_path, tf):
    inputs = framework.Input((8, 8, 3))
    value = framework.layers.GlobalAveragePooling2D()(inputs)
    outputs = [
        framework.layers.Dense(2, name="kind")(value),
        framework.layers.Dense(5, name="colour", activation="sigmoid")(value),
    ]
    keras_model = framework.Model(inputs, outputs)
    path = saved(keras_model, "m.keras")
    with pytest.raises(UnsupportedModelError, match=r"2 outputs: kind \[2\], colour \[5\]; name one, as --output colour"):
        load_model(path)
    with pytest.raises(UnsupportedModelError, match=r"one of its outputs for --output, .*kind.*'size'"):
        load_model(path, output="size")
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(path, keras_model.predict(images, verbose=0)[1], images, tf, tmp_path, output="colour")
    assert (model.outputs, model.output_kind) == (5, "sigmoid")


def test_several_outputs_of_a_saved_model(keras, tmp_path, tf):
    inputs = keras.Input((8, 8, 3))
    value = keras.layers.GlobalAveragePooling2D()(inputs)
    keras_model = keras.Model(inputs, {"b": keras.layers.Dense(2)(value), "a": keras.layers.Dense(5)(value)})
    keras_model.export(str(tmp_path / "folder"), verbose=False)
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    check(tmp_path / "folder", keras_model.predict(images, verbose=0)["b"], images, tf, tmp_path, output="b")


@pytest.mark.parametrize("shape", [(1, 1, 4), (4, 1, 1), (1,)])
def test_output_shapes_read_as_vectors(tf_keras, saved, shape):
    inputs = tf_keras.Input((8, 8, 1))
    value = tf_keras.layers.Dense(int(np.prod(shape)), activation="sigmoid")(tf_keras.layers.Flatten()(inputs))
    model = load_model(saved(tf_keras.Model(inputs, tf_keras.layers.Reshape(shape)(value)), "m.h5"))
    assert (model.outputs, model.output_kind) == (np.prod(shape), "sigmoid")
    assert len(model.notes) == (len(shape) > 1)
    assert model.predict(np.zeros((40, 8, 8, 1), np.float32)).shape == (40, np.prod(shape))


def test_neutral_unknown_fields_are_dropped_and_logged(framework, saved, tmp_path, tf):
    keras_model = small_classifier(framework)
    path = saved(keras_model, "m.h5")
    edit_h5(
        path,
        lambda config: convolution(config)["config"].update(
            from_the_future=None, kernel_regularizer={"class_name": "Mine", "config": {}}
        ),
    )
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(path, keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert {repair.field for repair in model.repairs} == {"from_the_future", "kernel_regularizer"}


@pytest.mark.parametrize("value", [3, 0.0, 0, True])  # two of them equal False
def test_unknown_fields_that_say_something_are_not_dropped(framework, saved, value):
    path = saved(small_classifier(framework), "m.h5")
    edit_h5(path, lambda config: convolution(config)["config"].update(from_the_future=value))
    with pytest.raises(ModelFileError, match="from_the_future"):
        load_model(path)


def test_relu6_and_fixed_dropout_of_old_packages(tf_keras, saved, tmp_path, tf):
    keras_model = small_classifier(tf_keras, tf_keras.layers.Conv2D(2, 3, activation=tf.nn.relu6), tf_keras.layers.Dropout(0.5))
    path = saved(keras_model, "m.h5")

    def age(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dropout":
                layer["class_name"] = "FixedDropout"
        convolution(config)["config"]["activation"] = "relu6"

    edit_h5(path, age)
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(path, keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert [repair.action for repair in model.repairs] == ["FixedDropout read as Dropout"]


def test_custom_losses_do_not_matter(keras, saved, tmp_path, tf):
    @keras.saving.register_keras_serializable("mine")
    def strange_loss(truth, scores):
        return keras.ops.sum(truth * scores)

    inner = small_classifier(keras)
    inner.compile("adam", strange_loss)
    outer = keras.Sequential([keras.Input((8, 8, 3)), inner])
    outer.compile("adam", strange_loss)
    path = saved(outer, "m.keras")
    keras.saving.get_custom_objects().clear()
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    check(path, outer.predict(inputs, verbose=0), inputs, tf, tmp_path)


def test_predict_any_number(tf_keras, saved):
    model = load_model(saved(small_classifier(tf_keras), "m.h5"))
    assert model.predict(np.zeros((0, 8, 8, 3), np.float32)).shape == (0, 3)
    assert model.predict(np.zeros((70, 8, 8, 3), np.float32)).shape == (70, 3)
    with pytest.raises(InputError, match=r"\[N, 8, 8, 3\]"):
        model.predict(np.zeros((1, 9, 8, 3), np.float32))


def test_scaling_inside_an_export_is_found(framework, tmp_path):
    """The inlined function keeps the image behind copies and edges of order alone."""
    model = small_classifier(framework, framework.layers.Rescaling(1 / 255))
    model.export(str(tmp_path / "folder"))
    assert load_model(tmp_path / "folder").image_spec.provenance == "in-model"


@pytest.mark.parametrize("family", ["resnet50", "mobilenet_v2", "densenet"])
def test_preprocessing_of_applications_inside_a_keras3_h5(keras, saved, tmp_path, tf, family):
    """Keras 3 writes the operations of `keras.ops` into an .h5 without where they come from, and cannot read them back."""
    inputs = keras.Input((8, 8, 3))
    value = getattr(keras.applications, family).preprocess_input(inputs)
    value = keras.layers.Flatten()(value * 2 + value)
    keras_model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(value))
    pixels = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(saved(keras_model, "m.h5"), keras_model.predict(pixels, verbose=0), pixels, tf, tmp_path)
    assert {repair.field for repair in model.repairs} == {"module"}
    add = next(repair for repair in model.repairs if repair.action.startswith("named: Multiply "))
    assert add.action == "named: Multiply of keras.src.ops.numpy, no layer"  # there is a layer of that name too


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_preprocessing_that_turns_channels_round_is_seen(framework, saved, name):
    if framework.__name__ == "tf_keras":
        inputs = framework.Input((8, 8, 3))
        value = inputs[:, :, :, ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    else:
        inputs = framework.Input((8, 8, 3))
        value = framework.applications.resnet50.preprocess_input(inputs)  # takes the channels one by one and stacks them
    value = framework.layers.GlobalAveragePooling2D()(framework.layers.Conv2D(2, 3)(value))
    spec = load_model(saved(framework.Model(inputs, framework.layers.Dense(3)(value)), name)).image_spec
    assert spec.provenance == "in-model", spec.note


def test_random_layers_that_count_their_draws_are_inert(keras, saved, tmp_path, tf):
    layers = keras.layers
    keras_model = small_classifier(keras, layers.RandomGrayscale(0.5), layers.RandomHue(0.1), layers.Rescaling(1 / 255))
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(saved(keras_model, "m.keras"), keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert not [node.name for node in model._graph.node if node.op.startswith("Assign")]
    assert model.image_spec.provenance == "in-model"


def test_random_crop_of_keras2_resizes(tf_keras, saved, tmp_path, tf):
    inputs = tf_keras.Input((9, 12, 3))
    value = tf_keras.layers.GlobalAveragePooling2D()(tf_keras.layers.Conv2D(4, 3)(tf_keras.layers.RandomCrop(6, 6)(inputs)))
    keras_model = tf_keras.Model(inputs, tf_keras.layers.Dense(3)(value))
    images = RNG.random((2, 9, 12, 3), dtype=np.float32)
    for name in ("m.h5", "m.keras"):
        model = check(saved(keras_model, name), keras_model.predict(images, verbose=0), images, tf, tmp_path)
        assert [repair.field for repair in model.repairs] == ["class_name"]


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_random_shear_that_keras_3_does_not_read_again(keras, saved, tmp_path, tf, name):
    keras_model = small_classifier(keras, keras.layers.RandomShear(0.2, (0.0, 0.3)))
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(saved(keras_model, name), keras_model.predict(images, verbose=0), images, tf, tmp_path)
    assert [repair.field for repair in model.repairs if repair.field != "training"] == ["x_factor"]
    shear = next(layer for layer in model.model.layers if isinstance(layer, keras.layers.RandomShear))
    assert (list(shear.x_factor), list(shear.y_factor)) == ([-0.2, 0.2], [0.0, 0.3])


@pytest.mark.parametrize("kind", ["h5", "export"])
def test_layer_normalization_of_keras2(tf_keras, tmp_path, tf, kind):
    """It is a fused batch normalization in training mode, channels first, which no converter takes."""
    keras_model = small_classifier(tf_keras, tf_keras.layers.Conv2D(5, 3), tf_keras.layers.LayerNormalization())
    keras_model.layers[2].set_weights([RNG.random(5) + 0.5, RNG.random(5)])
    path = tmp_path / "m.h5"
    keras_model.save(str(path)) if kind == "h5" else keras_model.export(str(path))
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(path, keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert not [node.op for node in model._graph.node if node.op.startswith("FusedBatchNorm")]


def test_double_precision_computes_in_float32(framework, saved, tmp_path, tf):
    keras_model = small_classifier(framework, framework.layers.Rescaling(1 / 255, dtype="float64"))
    inputs = RNG.random((2, 8, 8, 3), dtype=np.float32)
    model = check(saved(keras_model, "m.keras"), keras_model.predict(inputs, verbose=0), inputs, tf, tmp_path)
    assert "float64 computed as float32" in {repair.action for repair in model.repairs}


def test_stateful_layers_forget(framework, saved, tmp_path, tf):
    inputs = framework.Input(batch_shape=(2, 8, 8))
    value = framework.layers.LSTM(4, stateful=True)(inputs)
    keras_model = framework.Model(inputs, framework.layers.Dense(3)(value))
    images = RNG.random((2, 8, 8), dtype=np.float32)
    path = saved(keras_model, "m.h5")
    model = check(path, keras_model.predict(images, verbose=0, batch_size=2), images, tf, tmp_path)
    assert [repair.layer for repair in model.repairs if repair.field == "stateful"] == [keras_model.layers[1].name]


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_names_that_tensorflow_cannot_trace(keras, saved, tmp_path, tf, name):
    inputs = keras.Input((8, 8, 3), name="das Bild")
    value = keras.layers.Conv2D(4, 3, name="свёртка 1")(inputs)
    value = keras.layers.GlobalAveragePooling2D(name="scores")(value)
    keras_model = keras.Model(inputs, keras.layers.Dense(3, name="out put")(value), name="modèle")
    model = load_model(saved(keras_model, name))
    assert {repair.layer for repair in model.repairs} == {"das Bild", "свёртка 1", "out put", "modèle"}
    images = RNG.random((2, 8, 8, 3), dtype=np.float32)
    expected = images.astype(np.float64)  # TensorFlow cannot run the original: convolve by hand
    kernel, bias = keras_model.layers[1].get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(expected, (3, 3), axis=(1, 2))
    value = np.einsum("nhwcij,ijco->nhwo", windows, kernel).mean((1, 2)) + bias
    dense, offset = keras_model.layers[3].get_weights()
    np.testing.assert_allclose(model.predict(images), value @ dense + offset, atol=1e-5)
    np.testing.assert_allclose(run_frozen(model.freeze(tmp_path), images, tf), value @ dense + offset, atol=1e-5)


@pytest.mark.parametrize("kind", ["export", "keras2-savedmodel"])
def test_half_precision_in_a_saved_model_becomes_float32(framework, tmp_path, kind, tf):
    """Its layers are not there to be told another precision: the graph is rewritten."""
    if kind == "keras2-savedmodel" and framework.__name__ != "tf_keras":
        return  # Keras 3 writes no such folder
    inputs = framework.Input((8, 8, 3))
    value = framework.layers.Conv2D(4, 3, activation="relu", dtype="mixed_float16")(inputs)
    value = framework.layers.GlobalAveragePooling2D(dtype="mixed_float16")(value)
    keras_model = framework.Model(inputs, framework.layers.Dense(3, dtype="float32")(value))
    images = RNG.random((3, 8, 8, 3), dtype=np.float32)
    expected = keras_model.predict(images, verbose=0)
    folder = str(tmp_path / "folder")
    keras_model.export(folder) if kind == "export" else keras_model.save(folder)
    model = load_model(tmp_path / "folder")
    assert "computed in float32 what the model computes in float16" in model.notes
    # scores of about 1 after a sum of 27 products and a mean of 36, in steps of 2**-11
    np.testing.assert_allclose(model.predict(images), expected, atol=27 * 2**-11)
    np.testing.assert_allclose(run_frozen(model.freeze(tmp_path), images, tf), model.predict(images), atol=1e-6)
    dtypes = {attr.type for node in model._graph.node for attr in node.attr.values() if attr.WhichOneof("value") == "type"}
    assert tf.float16.as_datatype_enum not in dtypes


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers_need_no_loop(framework, saved, tmp_path, tf, kind):
    inputs = framework.Input((8, 8))
    value = framework.layers.Bidirectional(getattr(framework.layers, kind)(4))(inputs)
    keras_model = framework.Model(inputs, framework.layers.Dense(3)(value))
    images = RNG.random((3, 8, 8), dtype=np.float32)
    model = check(saved(keras_model, "m.h5"), keras_model.predict(images, verbose=0), images, tf, tmp_path)
    assert {repair.field for repair in model.repairs} == {"unroll"}
    assert not [node.op for node in model._graph.node if node.op in ("While", "StatelessWhile", "Enter", "Switch")]


def test_weights_that_windows_named_with_backslashes(framework, saved, tmp_path, tf):
    layers = framework.layers
    inner = framework.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    keras_model = small_classifier(framework, inner)
    inputs = RNG.random((5, 8, 8, 3), dtype=np.float32)
    expected = keras_model.predict(inputs, verbose=0)
    path = saved(keras_model, "m.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with h5py.File(io.BytesIO(parts["model.weights.h5"])) as old, h5py.File(tmp_path / "w.h5", "w") as new:
        groups: list[str] = []
        old.visit(lambda name: groups.append(name) if name.endswith("vars") else None)
        for name in groups:  # os.path.join made the path up to `vars` there
            old.copy(name, new, name.removesuffix("/vars").replace("/", "\\") + "/vars" if "/" in name else name)
    parts["model.weights.h5"] = (tmp_path / "w.h5").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    model = check(path, expected, inputs, tf, tmp_path)
    assert [repair.field for repair in model.repairs] == ["weights"]
