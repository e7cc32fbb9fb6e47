"""`--input-size`: models whose height and width are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_models import run_frozen, small_classifier

from edgecls.errors import InputError, UnsupportedModelError
from edgecls.models import load_model


@pytest.fixture(params=["keras3", "keras2", "exported", "keras2-folder"])
def open_size(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any]:
    """A model of open height and width in each kind of file, and the model itself."""
    framework = request.getfixturevalue("tf_keras" if "keras2" in request.param else "keras")
    model = small_classifier(framework, shape=(None, None, 3))
    path = tmp_path / {"keras3": "m.keras", "keras2": "m.h5", "exported": "folder", "keras2-folder": "folder"}[request.param]
    if request.param == "exported":
        model.export(str(path), verbose=False)
    else:
        model.save(str(path))
    return path, model


def test_a_size_makes_a_model_of_that_size(open_size, tmp_path, tf):
    """Scores are those of the source model called on images of that size: the same weights and operations, summed in float32."""
    path, model = open_size
    loaded = load_model(path, input_size="12x16")
    assert loaded.image_spec.input_shape == (12, 16, 3)
    assert loaded.source.input_size == "12x16"
    images = np.random.default_rng(1).uniform(0, 1, (3, 12, 16, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    np.testing.assert_allclose(loaded.predict(images), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run_frozen(loaded.freeze(tmp_path), images, tf), expected, rtol=1e-5, atol=1e-6)


def test_the_error_of_an_open_size_names_the_option(open_size):
    path, _ = open_size
    with pytest.raises(UnsupportedModelError, match="--input-size 224x224"):
        load_model(path)
    assert load_model(path, input_size="224x224").outputs == 3


@pytest.mark.parametrize(
    "size", ["0x0", "0x16", "axb", "16", "16x", "x16", "16x16x3", "-8x8", "1e2x8", "8 x 8", "", "16X16", "99999x1"]
)
def test_nonsense(keras, saved, size):
    path = saved(small_classifier(keras, shape=(None, None, 3)), "m.keras")
    with pytest.raises(InputError, match="HEIGHTxWIDTH") as caught:
        load_model(path, input_size=size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_fixed_size_stays(framework, saved, name):
    path = saved(small_classifier(framework), name)
    assert load_model(path, input_size="8x8").image_spec.input_shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"8x8, the size that the model is built for.*leave --input-size out"):
        load_model(path, input_size="16x16")


def test_one_open_side(framework, saved):
    path = saved(small_classifier(framework, shape=(8, None, 3)), "m.keras")
    assert load_model(path, input_size="8x20").image_spec.input_shape == (8, 20, 3)
    with pytest.raises(InputError, match=r"\[8, None, 3\]"):
        load_model(path, input_size="16x20")


def test_a_size_too_small_for_the_layers(open_size):
    path, _ = open_size
    with pytest.raises(UnsupportedModelError, match="an --input-size that the model can take") as caught:
        load_model(path, input_size="2x2")
    assert "\n" not in str(caught.value)


def test_the_reason_of_a_graph_is_told_without_its_place(tf, tmp_path):
    module = tf.Module()
    image = [tf.TensorSpec((None, None, None, 3), tf.float32, name="image")]
    module.scores = tf.function(lambda image: tf.reshape(image, [-1, 192]), input_signature=image)
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures=module.scores)
    with pytest.raises(UnsupportedModelError, match=r"a tensor with 360 values, but the requested shape .* multiple of 192"):
        load_model(tmp_path / "folder", input_size="12x10")


def test_pooling_that_leaves_no_pixel(framework, saved):
    """A window larger than the image, by less than its stride, makes TensorFlow pool nothing without an error."""
    path = saved(small_classifier(framework, framework.layers.MaxPooling2D(4, 4), shape=(None, None, 3)), "m.keras")
    with pytest.raises(UnsupportedModelError, match="an --input-size that the model can take"):
        load_model(path, input_size="3x3")


@pytest.mark.parametrize("export", [False, True])
def test_scores_that_are_a_map_of_one_pixel(keras, saved, tmp_path, export):
    """A fully convolutional classifier gives one vector at the one size where its map is a pixel."""
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 3)(keras.layers.Conv2D(4, 6)(inputs)))
    path = tmp_path / "folder" if export else saved(model, "m.keras")
    if export:
        model.export(str(path), verbose=False)
    assert load_model(path, input_size="8x8").outputs == 5
    with pytest.raises(UnsupportedModelError, match=r"\[3, 3, 5\]"):
        load_model(path, input_size="10x10")


@pytest.mark.parametrize("option", [None, "8x8"])
def test_open_sizes_with_channels_first(tf_keras, saved, option):
    inputs = tf_keras.Input((3, None, None))
    model = tf_keras.Model(inputs, tf_keras.layers.GlobalAveragePooling2D(data_format="channels_first")(inputs))
    with pytest.raises(UnsupportedModelError, match="fixed height, width and channels"):
        load_model(saved(model, "m.h5"), input_size=option)


def test_open_channels_have_another_remedy(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: tf.reduce_mean(image, (1, 2)),
        input_signature=[tf.TensorSpec((None, None, None, None), tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path / "folder"), signatures={"serving_default": module.serve})
    for size in (None, "8x8"):
        with pytest.raises(UnsupportedModelError, match="build it again") as caught:
            load_model(tmp_path / "folder", input_size=size)
        assert "--input-size" not in str(caught.value)
