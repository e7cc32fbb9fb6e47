"""`--signature`: SavedModels with several serving functions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from written_models import small_classifier

from edgecls.errors import InputError, UnsupportedModelError
from edgecls.models import load_model


@pytest.fixture
def two(tf, tmp_path: Path) -> Path:
    """`decode` takes a text, `rows` and `columns` an image: the first row, and the first column, of it."""
    module = tf.Module()
    image = [tf.TensorSpec((None, 8, 6, 1), tf.float32, name="image")]
    module.decode = tf.function(tf.strings.length, input_signature=[tf.TensorSpec((None,), tf.string, name="input")])
    module.rows = tf.function(lambda image: image[:, 0, :, 0], input_signature=image)
    module.columns = tf.function(lambda image: image[:, :, 0, 0], input_signature=image)
    folder = tmp_path / "folder"
    tf.saved_model.save(module, str(folder), signatures={"decode": module.decode, "rows": module.rows, "columns": module.columns})
    return folder


def test_the_named_signature_is_read(two):
    image = np.arange(48, dtype=np.float32).reshape(1, 8, 6, 1)
    for name, expected in (("rows", image[:, 0, :, 0]), ("columns", image[:, :, 0, 0])):
        loaded = load_model(two, signature=name)
        assert loaded.source.signature == name
        np.testing.assert_array_equal(loaded.predict(image), expected)


def test_the_remedy_names_a_signature_that_works(two):
    with pytest.raises(UnsupportedModelError, match=r"3 \(columns, decode, rows\)") as caught:
        load_model(two)
    named = re.search(r"--signature (\S+)", caught.value.remedy)
    assert named and load_model(two, signature=named[1]).outputs == 8


def test_a_default_that_takes_files_names_the_one_that_takes_pixels(tf, tmp_path):
    module = tf.Module()
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")
    module.files = tf.function(lambda image_bytes: tf.strings.length(image_bytes)[:, None], input_signature=[files])
    pixels = tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")
    module.pixels = tf.function(lambda image: image[:, 0, :, 0], input_signature=[pixels])
    both = {"serving_default": module.files, "serving pixels": module.pixels}
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures=both)
    with pytest.raises(UnsupportedModelError, match=r"image_bytes of dtype string; .*--signature 'serving pixels'"):
        load_model(tmp_path / "folder")
    assert load_model(tmp_path / "folder", signature="serving pixels").outputs == 8


def test_an_unknown_name_lists_those_there_are(two):
    with pytest.raises(InputError, match=r"a signature named 'serve', found .* with columns, decode, rows"):
        load_model(two, signature="serve")


def test_a_default_beside_others(keras, tf, tmp_path):
    """`serving_default` is what everybody means; another one is read when it is named."""
    module = tf.Module()
    image = [tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")]
    module.a = tf.function(lambda image: image[:, 0, :, 0], input_signature=image)
    module.b = tf.function(lambda image: 2 * image[:, 0, :, 0], input_signature=image)
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.a, "twice": module.b})
    ones = np.ones((1, 8, 8, 1), np.float32)
    assert load_model(tmp_path / "folder").predict(ones).max() == 1
    assert load_model(tmp_path / "folder", signature="twice").predict(ones).max() == 2


def test_a_keras_folder_is_read_as_the_function_that_is_named(tf_keras, tf, tmp_path):
    model = small_classifier(tf_keras)
    spec = [tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")]
    mirrored = tf.function(lambda image: model(image[:, :, ::-1]), input_signature=spec)
    plain = tf.function(model, input_signature=spec)
    model.save(str(tmp_path / "folder"), signatures={"serving_default": plain, "mirrored": mirrored})
    images = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    loaded = load_model(tmp_path / "folder", signature="mirrored")
    np.testing.assert_allclose(loaded.predict(images), model(images[:, :, ::-1]).numpy(), rtol=1e-5)
    assert any("--signature mirrored" in note for note in loaded.notes)


def test_a_file_without_signatures(keras, saved):
    with pytest.raises(InputError, match="leave --signature out"):
        load_model(saved(small_classifier(keras), "m.keras"), signature="serving_default")
