"""Code of Lambda layers that takes names from the module it was written in, which is in no model file."""

from __future__ import annotations

import numpy as np
import pytest

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model

SCALE = 255.0
USUAL = {
    "tf": "lambda image: tf.cast(image, tf.float32) / 255.0",
    "np": "lambda image: image / np.float32(255.0)",
    "K": "lambda image: K.clip(image, 0.0, 255.0) / 255.0",
    "keras": "lambda image: keras.backend.epsilon() + image / 255.0",
    "own": "lambda image: (lambda value: value / SCALE)(image)",
}


def saved_with(framework, code, path):
    """A model that begins with a Lambda layer of this code, which finds the names here; what it answers to an image."""
    import tensorflow as tf

    backend = tf.keras.backend if framework.__name__ == "keras" else framework.backend
    names = {"tf": tf, "np": np, "K": backend, "keras": framework, "ops": getattr(framework, "ops", None), "SCALE": SCALE}
    layers = framework.layers
    shape = (
        {"output_shape": (8, 8, 3)} if framework.__name__ == "keras" and "ops" in code else {}
    )  # then nothing calls it on reading
    first = layers.Lambda(eval(code, names), **shape)
    model = framework.Sequential([framework.Input((8, 8, 3)), first, layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.save(path)
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    return image, np.asarray(model(image))


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
@pytest.mark.parametrize("alias", ["tf", "np", "K", "keras"])
def test_modules_under_their_usual_names_are_known(framework, tmp_path, alias, name):
    image, expected = saved_with(framework, USUAL[alias], tmp_path / name)
    np.testing.assert_allclose(load_model(tmp_path / name, allow_code=True).predict(image), expected, atol=1e-6)


def test_operations_of_keras_3_are_known(keras, tmp_path):
    image, expected = saved_with(keras, "lambda image: ops.divide(image, 255.0)", tmp_path / "model.keras")
    np.testing.assert_allclose(load_model(tmp_path / "model.keras", allow_code=True).predict(image), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_other_names_are_named_and_come_from_a_file(framework, tmp_path, name):
    image, expected = saved_with(framework, USUAL["own"], tmp_path / name)
    with pytest.raises(UnsupportedModelError, match=r"one that uses SCALE, which .* --custom-objects FILE\.py"):
        load_model(tmp_path / name, allow_code=True)
    (tmp_path / "names.py").write_text("SCALE = 255.0\n")
    model = load_model(tmp_path / name, allow_code=True, custom_objects=tmp_path / "names.py")
    np.testing.assert_allclose(model.predict(image), expected, atol=1e-6)
