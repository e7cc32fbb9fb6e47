"""Scopes of a frozen Keras 3 model: each has its layer's own name, however often layers are called and nested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_models import run_frozen

from edgecls.models import load_model


@pytest.fixture
def path(keras, saved) -> Path:
    """A nested model, and a layer that is called twice beside one that has the name TensorFlow would give its second call."""
    layers = keras.layers
    base = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="conv_1")], name="conv")
    inputs = keras.Input((8, 8, 3))
    values = layers.Conv2D(4, 1, name="shared_1")(inputs)
    shared = layers.Conv2D(4, 1, activation="relu", name="shared")
    values = layers.BatchNormalization(name="norm_1")(base(shared(shared(values))))
    values = layers.GlobalAveragePooling2D(name="pool_1")(values + 1)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="dense_1")(values), name="net_1")
    return saved(model, "model.keras")


@pytest.mark.parametrize("loads", [1, 2])
def test_scopes_are_named_as_layers(path: Path, loads: int, tmp_path: Path, tf):
    for _ in range(loads):
        loaded = load_model(path)
    frozen = loaded.freeze(tmp_path)
    definition = tf.compat.v1.GraphDef.FromString(frozen.path.read_bytes())
    convolutions = {node.name for node in definition.node if node.op == "Conv2D"}
    expected = ["shared_1/convolution", "shared/convolution", "shared/convolution_1", "conv/conv/convolution"]
    assert convolutions == {f"net_1/{name}" for name in expected}
    scopes = {node.name.split("/")[1] for node in definition.node if node.name.startswith("net_1/") and node.name.count("/") > 1}
    assert scopes <= {"shared_1", "shared", "conv", "norm_1", "pool_1", "dense_1"}
    assert not any("_open_name_scope" in vars(layer) for layer in loaded.model._flatten_layers())
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_allclose(run_frozen(frozen, images, tf), loaded.predict(images), rtol=1e-5, atol=1e-6)
