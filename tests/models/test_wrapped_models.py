"""Models that other tools wrapped or quantized in place: read as the float models they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from written_models import edit_h5, small_classifier

from edgecls.errors import UnsafeModelError, UnsupportedModelError
from edgecls.models import load_model
from edgecls.system.extras import require

# Two float32 computations of the same 300 products, in graphs that are optimized differently: 300 roundings of 2^-24 of scores up to 1.
ROUNDING = 300 * 2**-24


@pytest.fixture(scope="module")
def tfmot() -> Any:
    return require("tensorflow_model_optimization")


@pytest.fixture(scope="module")
def base() -> Any:
    """A Keras 2 classifier with a normalization that is not neutral."""
    keras = require("tf_keras")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[1].set_weights([np.array(row, np.float32) for row in ([1, 2, 1, 2], [0, 1, 0, 1], [1, 0, 1, 0], [1, 2, 3, 4])])
    return model


def wrapped(tfmot: Any, base: Any, kind: str) -> tuple[Any, Any]:
    """The model in wrappers, and the plain one it stands for."""
    copy = require("tf_keras").models.clone_model(base)
    copy.set_weights(base.get_weights())
    if kind == "pruned":
        model = tfmot.sparsity.keras.prune_low_magnitude(copy, tfmot.sparsity.keras.ConstantSparsity(0.5, 0))
        return model, tfmot.sparsity.keras.strip_pruning(model)
    if kind == "clustered":
        start = tfmot.clustering.keras.CentroidInitialization.LINEAR
        model = tfmot.clustering.keras.cluster_weights(copy, number_of_clusters=4, cluster_centroids_init=start)
        return model, tfmot.clustering.keras.strip_clustering(model)
    return tfmot.quantization.keras.quantize_model(copy), base


PIXELS = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("pruned", "clustered") for name in ("m.h5", "m.keras", "folder")]
    + [("quantized", "m.h5"), ("quantized", "folder")],  # tf_keras itself cannot read the `.keras` it writes of those
)
def test_models_of_the_optimization_toolkit(tfmot, base, tmp_path, kind, name):
    model, plain = wrapped(tfmot, base, kind)
    expected = plain.predict(PIXELS, verbose=0)
    model.save(str(tmp_path / name))
    loaded = load_model(tmp_path / name)
    assert np.abs(loaded.predict(PIXELS) - expected).max() < ROUNDING
    told = " ".join([*loaded.notes, *(repair.action for repair in loaded.repairs)])
    if kind == "quantized":
        assert "without the int8 rounding" in told
        assert "trained for int8" in str(loaded.training_refusal)
    else:
        assert f"strip_{'pruning' if kind == 'pruned' else 'clustering'}" in told
        assert loaded.training_refusal is None


def test_a_wrapper_may_name_no_other_class(tfmot, base, tmp_path):
    """Wrappers look the parts they name up among everything their module imports."""
    path = tmp_path / "m.h5"
    wrapped(tfmot, base, "pruned")[0].save(str(path))

    def plant(config: dict) -> None:
        layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "PruneLowMagnitude")
        layer["config"]["pruning_schedule"] = {"class_name": "generic_utils", "config": {}}

    edit_h5(path, plant)
    with pytest.raises(UnsafeModelError, match=r"generic_utils.*--allow-code"):
        load_model(path)


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_what_keras_quantized_in_place_becomes_float(keras, tmp_path, name):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Reshape((36, 4)),
            keras.layers.EinsumDense("abc,cd->abd", (36, 5), bias_axes="d", name="einsum"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="dense"),
        ]
    )
    before = model.predict(PIXELS, verbose=0)
    model.quantize("int8")
    model.save(str(tmp_path / name))
    loaded = load_model(tmp_path / name)
    found = loaded.predict(PIXELS)
    # each kernel is off by half a code of 127, twice in a row: under 2 % of the largest score; activations are no longer rounded
    assert 0 < np.abs(found - before).max() < 0.02 * np.abs(before).max()
    assert [repair.layer for repair in loaded.repairs if "dequantized" in repair.action] == ["einsum", "dense"]


def test_other_modes_are_refused_in_a_line(keras, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.quantize("int4")
    model.save(str(tmp_path / "m.keras"))
    with pytest.raises(UnsupportedModelError, match=r"a Dense that Keras quantized to int4; give .* before model\.quantize"):
        load_model(tmp_path / "m.keras")


def test_exports_of_quantized_models_are_refused_in_a_line(keras, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.quantize("int8")
    model.export(str(tmp_path / "folder"), verbose=False)
    with pytest.raises(UnsupportedModelError, match=r"products of integers.*give the \.keras file"):
        load_model(tmp_path / "folder")


def test_settings_that_are_tensors(tf_keras, tf, saved):
    """As EfficientNet's scale in a `.keras` of Keras 2."""
    scale = tf_keras.layers.Rescaling(1.0 / tf.math.sqrt([0.229, 0.224, 0.225]))
    loaded = load_model(saved(small_classifier(tf_keras, scale), "m.keras"))
    assert [(repair.field, repair.action) for repair in loaded.repairs] == [("scale", "a tensor, read as plain numbers")]
