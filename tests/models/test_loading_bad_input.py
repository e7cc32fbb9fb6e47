"""Every way a file can be wrong is one clear line with a remedy."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import zipfile

import h5py
import numpy as np
import pytest
from written_models import convolution, edit_h5, edit_zip, small_classifier

import edgecls.system.extras
from edgecls.errors import EdgeclsError, InputError, MissingExtraError, ModelFileError, UnsupportedModelError
from edgecls.models import load_model


def refusal(error: type[EdgeclsError], path, **options) -> str:
    with pytest.raises(error) as caught:
        load_model(path, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in message
    assert caught.value.remedy
    assert len(message) < 900
    return message


LOOKALIKES = [
    (b"", "empty"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    (b"\x1c\x00\x00\x00TFL3" + bytes(50), "TFLite"),
    (b"<!DOCTYPE html><html>", "web page"),
    (gzip.compress(b"x"), "gzip"),
    (b"PK\x05\x06" + bytes(18), "none of them"),
    (b"hello, this is a text", "none of them"),
    (b"{ not json", "JSON"),
    (b'{"a": 1}', "JSON of something else"),
    (b'{"a": ' * 5000, "cannot be read"),
    (b'{"class_name": ' + b"[" * 300 + b"]" * 300 + b"}", "more than 200 levels"),
    (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged"),
    (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
    (b"\x93NUMPY" + bytes(20), "NumPy"),
    (b"\xff\xd8\xff\xe0" + bytes(40), "none of them"),
]


@pytest.mark.parametrize(("content", "text"), LOOKALIKES, ids=[text for _, text in LOOKALIKES])
@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_no_model(tmp_path, content, text, name):
    (tmp_path / name).write_bytes(content)
    assert text in refusal(ModelFileError, tmp_path / name)


def test_missing_file(tmp_path):
    assert "does not exist" in refusal(ModelFileError, tmp_path / "nothing.h5")


def test_directories(tmp_path):
    assert "no saved_model.pb" in refusal(ModelFileError, tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\x08\x01")
    assert f"as {tmp_path / '1'}" in refusal(ModelFileError, tmp_path)
    assert "give the folder" in refusal(ModelFileError, tmp_path / "1" / "saved_model.pb")
    trained = tmp_path / "photos.trained"
    trained.mkdir()
    (trained / "labels.txt").write_text("cat\ndog\n")
    (trained / "model.keras").write_bytes(b"PK")
    assert f"give the file in it: {trained / 'model.keras'}" in refusal(ModelFileError, trained)
    (trained / "older.H5").write_bytes(b"")
    assert "give one of those in it" in refusal(ModelFileError, trained)
    assert "no graph" in refusal(ModelFileError, tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\xff" * 20)
    assert "damaged" in refusal(ModelFileError, tmp_path / "1")


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_archive_that_does_not_inflate(tmp_path, member):
    """The compressed stream of a member begins with a block type that does not exist."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "model.weights.h5"):
            archive.writestr(name, b"{}" * 50)
        offset = archive.getinfo(member).header_offset
    data = bytearray(path.read_bytes())
    data[offset + 30 + len(member)] = 0x07
    path.write_bytes(data)
    assert "truncated or damaged" in refusal(ModelFileError, path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_truncated(framework, saved, name, share):
    path = saved(small_classifier(framework), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refusal(ModelFileError, path)


def test_damaged_inside(keras, saved):
    path = saved(small_classifier(keras), "m.keras")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    assert "damaged" in refusal(ModelFileError, path)


def test_saved_model_without_variables(keras, tmp_path):
    small_classifier(keras).export(str(tmp_path / "folder"), verbose=False)
    shutil.rmtree(tmp_path / "folder" / "variables")
    assert "variables" in refusal(ModelFileError, tmp_path / "folder")


def test_h5_of_something_else(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["images"] = np.zeros(3)
    assert "Keras did not write" in refusal(ModelFileError, tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["__MACOSX/._model.h5", "models/model.h5"], "unpack it and give the model inside: models/model.h5"),
        (["web/group1-shard1of1.bin", "web/metadata.json", "web/model.json"], "give the model inside: web"),
        (["model.json", "weights.bin"], "unpack it and give the folder"),
        (["saved\\saved_model.pb", "saved\\variables\\variables.index"], "give the model inside: saved"),
        (["net/config.json", "net/metadata.json", "net/model.weights.h5"], "zip the files in it, not their folder"),
        (["readme.txt"], "save the whole model"),
    ],
)
def test_a_zip_around_a_model_says_what_to_give(tmp_path, names, remedy):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    assert remedy in refusal(ModelFileError, tmp_path / "m.zip")


def test_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("data.pkl", b"x")
    assert "without config.json" in refusal(ModelFileError, tmp_path / "m.keras")


def test_archive_without_weights(keras, saved):
    path = saved(small_classifier(keras), "m.keras")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
    assert "model.weights.h5" in refusal(ModelFileError, path)


def test_weights_file_alone(keras, tmp_path):
    small_classifier(keras).save_weights(str(tmp_path / "model.weights.h5"))
    assert "--weights model.weights.h5" in refusal(ModelFileError, tmp_path / "model.weights.h5")


def test_bad_weights(keras, tmp_path):
    path = tmp_path / "m.json"
    path.write_text(small_classifier(keras).to_json())
    (tmp_path / "w.h5").write_bytes(b"nothing")
    assert "weights file in HDF5" in refusal(ModelFileError, path, weights=tmp_path / "w.h5")
    assert "does not exist" in refusal(ModelFileError, path, weights=tmp_path / "none.h5")
    small_classifier(keras, shape=(8, 8, 5)).save_weights(str(tmp_path / "other.weights.h5"))
    assert "weights that fit m.json" in refusal(ModelFileError, path, weights=tmp_path / "other.weights.h5")
    assert "leave --weights out" in refusal(ModelFileError, _saved(keras, tmp_path), weights=tmp_path / "w.h5")


def _saved(keras, folder):
    small_classifier(keras).save(str(folder / "whole.keras"))
    return folder / "whole.keras"


def test_subclassed_model(keras, tmp_path):
    class Mine(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(3)

        def call(self, image):
            return self.dense(keras.ops.mean(image, axis=(1, 2)))

    model = Mine()
    model(np.zeros((1, 8, 8, 3), np.float32))
    model.save(str(tmp_path / "m.keras"))
    message = refusal(UnsupportedModelError, tmp_path / "m.keras")
    assert "Mine" in message
    assert "model.export" in message


def test_custom_layer(framework, saved):
    class Unheard(framework.layers.Layer):
        def call(self, value):
            return value

    for name in ("m.h5", "m.keras"):
        message = refusal(UnsupportedModelError, saved(small_classifier(framework, Unheard(name="odd")), name))
        assert "Unheard" in message
        assert "export" in message


def test_custom_activation(framework, saved):
    path = saved(small_classifier(framework), "m.h5")
    edit_h5(path, lambda config: convolution(config)["config"].update(activation="my_own"))
    assert "my_own" in refusal(UnsupportedModelError, path)


def test_keras_1(tf_keras, saved):
    path = saved(small_classifier(tf_keras), "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "1.2.2"
    assert "Keras 2.2" in refusal(UnsupportedModelError, path)


def test_a_diverged_training(framework, saved):
    """TensorFlow's ReLU hides NaN on a processor: such a model had a row of files rejected, and evaluate showed an accuracy."""
    model = small_classifier(framework)
    diverged = model.layers[1]
    diverged.set_weights([np.full_like(weight, np.nan) for weight in diverged.get_weights()])
    message = refusal(UnsupportedModelError, saved(model, "m.keras"))
    assert f"NaN in the weights of {diverged.name}, as" in message


def test_a_diverged_training_as_saved_model(keras, tmp_path):
    model = small_classifier(keras)
    model.layers[-1].set_weights([np.full_like(weight, np.nan) for weight in model.layers[-1].get_weights()])
    model.export(str(tmp_path / "folder"), verbose=False)
    assert "NaN in the weights of" in refusal(UnsupportedModelError, tmp_path / "folder")


def test_several_inputs(framework, saved):
    first, second = framework.Input((8, 8, 3), name="image"), framework.Input((4,), name="age")
    value = framework.layers.Concatenate()([framework.layers.Flatten()(first), second])
    message = refusal(UnsupportedModelError, saved(framework.Model([first, second], framework.layers.Dense(2)(value)), "m.keras"))
    assert "2 inputs (image [8, 8, 3], age [4])" in message


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((None, None, 3), "fixed image size"),
        ((785,), "square image"),
        ((4, 8, 8, 3), "one image"),
    ],
)
def test_input_shapes(framework, saved, shape, text):
    pool = {1: "Dense", 3: "GlobalAveragePooling2D", 4: "GlobalAveragePooling3D"}[len(shape)]
    first = framework.layers.Dense(2) if pool == "Dense" else getattr(framework.layers, pool)()
    model = framework.Sequential([framework.Input(shape), first, framework.layers.Dense(2)])
    assert text in refusal(UnsupportedModelError, saved(model, "m.keras"))


def test_no_vector_as_output(framework, saved):
    inputs = framework.Input((8, 8, 3))
    path = saved(framework.Model(inputs, framework.layers.Conv2D(2, 3)(inputs)), "m.keras")
    assert "[6, 6, 2]" in refusal(UnsupportedModelError, path)


def test_model_without_input_shape(tf_keras, keras, tmp_path):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(str(tmp_path / "m.keras"))
    assert "input shape" in refusal(UnsupportedModelError, tmp_path / "m.keras")


def test_string_input_of_a_saved_model(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda jpeg: tf.reshape(tf.strings.length(jpeg), (-1, 1)),
        input_signature=[tf.TensorSpec((None,), tf.string, name="jpeg")],
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.serve})
    assert "dtype string" in refusal(UnsupportedModelError, tmp_path / "folder")


def test_several_signatures(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: image[:, 0, :, 0], input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")]
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"a": module.serve, "b": module.serve})
    assert "2 (a, b)" in refusal(UnsupportedModelError, tmp_path / "folder")
    tf.saved_model.save(tf.Module(), str(tmp_path / "none"))
    assert "with none" in refusal(UnsupportedModelError, tmp_path / "none")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda tf, image: tf.argmax(image[:, 0, :, 0], axis=1), "dtype int64"),
        (lambda tf, image: tf.py_function(lambda x: x, [image], tf.float32), "PyFunc"),
        (lambda tf, image: tf.reshape(image, tf.cast(image[0, 0, :2, 0], tf.int32)), "vector of scores"),
    ],
    ids=["class number", "python", "unknown shape"],
)
def test_outputs_that_are_no_scores(tf, tmp_path, function, text):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: function(tf, image), input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")]
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.serve})
    assert text in refusal(InputError, tmp_path / "folder")


def test_random_scores_are_refused(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: image[:, 0, :, 0] + tf.random.uniform((8,)),
        input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.serve})
    assert "random numbers" in refusal(UnsupportedModelError, tmp_path / "folder")


def test_augmentation_that_keras_3_exports_switched_on_names_the_remedy(keras, saved, tmp_path):
    model = small_classifier(keras, keras.layers.RandomBrightness(0.5))
    model.export(str(tmp_path / "folder"), verbose=False)
    text = refusal(UnsupportedModelError, tmp_path / "folder")
    assert "random_brightness" in text
    assert "give the .keras or .h5 file" in text
    pixels = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    scores = load_model(saved(model, "model.keras")).predict(pixels)  # as it says
    np.testing.assert_allclose(scores, model.predict(pixels, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("config"),
        lambda c: c.update(class_name="Dense"),
        lambda c: c["config"].update(layers=7),
        lambda c: c["config"].clear(),
    ],
    ids=["no config", "another class", "no layers", "empty config"],
)
def test_architecture_that_is_no_architecture(keras, saved, change):
    path = saved(small_classifier(keras), "m.keras")
    edit_zip(path, change)
    refusal(InputError, path)


def test_frameworks_not_installed(monkeypatch, tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"class_name": "Sequential", "config": {"layers": []}}))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = []
    monkeypatch.delitem(sys.modules, "tf_keras", raising=False)
    monkeypatch.setattr(edgecls.system.extras.importlib, "import_module", _not_installed)
    assert "pip install 'edgecls[convert]'" in refusal(MissingExtraError, tmp_path / "m.json", weights=tmp_path / "w.h5")


def _not_installed(name):
    raise ModuleNotFoundError(f"No module named {name!r}")
