"""Layers models of TensorFlow.js: `model.json` and the shards beside it, as its own `save` and `tensorflowjs_converter` write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_models import small_classifier

from edgecls.errors import ModelFileError, UnsupportedModelError
from edgecls.models import load_model

RNG = np.random.default_rng(0)


def quantized(values: np.ndarray, dtype: str) -> tuple[np.ndarray, dict[str, Any]]:
    """As `quantize_weights` in tensorflowjs/quantization.py: codes between the least and greatest value."""
    if dtype == "float16":
        return values.astype("<f2"), {"dtype": dtype, "original_dtype": "float32"}
    scale = float(values.max() - values.min()) / np.iinfo(dtype).max or 1.0
    rule = {"dtype": dtype, "min": float(values.min()), "scale": scale, "original_dtype": "float32"}
    return np.round((values - values.min()) / scale).astype(dtype), rule


def save(model: Any, folder: Path, dtype: str | None = None, shards: int = 1) -> Path:
    """Write a Keras 2 model as TensorFlow.js does; `dtype`: of the codes of quantized weights."""
    folder.mkdir()
    entries, data = [], b""
    for variable in model.weights:
        kind = "float32" if variable.dtype.is_floating else "int32"
        values = variable.numpy().astype(np.dtype(kind).newbyteorder("<"))
        entry = {"name": variable.name.removesuffix(":0"), "shape": list(values.shape), "dtype": kind}
        if dtype:
            values, entry["quantization"] = quantized(values, dtype)
        entries.append(entry)
        data += values.tobytes()
    size = -(-len(data) // shards)
    paths = [f"group1-shard{number + 1}of{shards}.bin" for number in range(shards)]
    for number, name in enumerate(paths):
        (folder / name).write_bytes(data[number * size : (number + 1) * size])
    topology = {"keras_version": "2.15.0", "backend": "tensorflow", "model_config": json.loads(model.to_json())}
    manifest = [{"paths": paths, "weights": entries}]
    written = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(written))
    return folder


@pytest.fixture(scope="module")
def model(tf):
    """Nested, as Teachable Machine's: a network inside a Sequential."""
    import tf_keras

    layers = tf_keras.layers
    trunk = small_classifier(tf_keras, layers.DepthwiseConv2D(3), layers.BatchNormalization(), activation="relu")
    model = tf_keras.Sequential([trunk, tf_keras.Sequential([layers.Dense(4, activation="softmax", input_shape=(3,))])])
    model.set_weights([RNG.uniform(0.05, 1, weight.shape) for weight in model.get_weights()])
    return model


def test_computes_what_the_model_computed(model, tmp_path):
    images = RNG.random((5, 8, 8, 3), dtype=np.float32)
    folder = save(model, tmp_path / "web", shards=3)
    for path in (folder, folder / "model.json"):
        loaded = load_model(path)
        np.testing.assert_allclose(loaded.predict(images), model.predict(images, verbose=0), atol=1e-6)  # the same weights
        assert loaded.source.format == "keras2-tfjs"


def test_an_adapted_normalization_has_its_mean(tf, tmp_path):
    import tf_keras

    normalization = tf_keras.layers.Normalization()
    normalization.adapt(RNG.uniform(40, 90, (16, 8, 8, 3)))
    model = small_classifier(tf_keras, normalization, activation="relu")
    images = RNG.uniform(0, 255, (5, 8, 8, 3)).astype(np.float32)
    loaded = load_model(save(model, tmp_path / "web"))
    np.testing.assert_allclose(loaded.predict(images), model.predict(images, verbose=0), rtol=1e-5)  # the same weights


@pytest.mark.parametrize(("dtype", "steps"), [("uint8", 255), ("uint16", 65535)])
def test_codes_become_values(model, tmp_path, dtype, steps):
    loaded = load_model(save(model, tmp_path / "web", dtype))
    for stored, true in zip(loaded.model.get_weights(), model.get_weights(), strict=True):
        step = (true.max() - true.min()) / steps
        np.testing.assert_allclose(stored, true, atol=step / 2 + 1e-6)  # rounded to the nearest code; values up to 1 in float32


def test_half_precision_weights(model, tmp_path):
    loaded = load_model(save(model, tmp_path / "web", "float16"))
    for stored, true in zip(loaded.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(stored, true, rtol=2**-11)  # half a unit in the last place of float16


def test_other_weights_are_another_source(model, tmp_path):
    folder = save(model, tmp_path / "web")
    before = load_model(folder).source.sha256
    shard = folder / "group1-shard1of1.bin"
    content = bytearray(shard.read_bytes())
    content[0] ^= 1
    shard.write_bytes(content)
    assert load_model(folder).source.sha256 != before


def edited(folder: Path, **changes: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_what_is_no_whole_model_is_refused_in_a_line(model, tmp_path):
    folder = save(model, tmp_path / "web")
    sound = json.loads((folder / "model.json").read_text())
    entries = sound["weightsManifest"][0]["weights"]

    def manifest(paths: list[str], weights: list[Any]) -> list[dict[str, Any]]:
        return [{"paths": paths, "weights": weights}]

    name = sound["weightsManifest"][0]["paths"][0]
    huge = {"dtype": "uint8", "scale": 3e38, "min": 3e38}
    for paths, weights, message in (
        (["../secret.bin"], entries, "names '../secret.bin'"),
        (["http://host/x.bin"], entries, "names 'http://host/x.bin'"),
        (["gone.bin"], entries, "gone.bin is missing"),
        (["x" * 300], entries, "xxx is missing"),
        ([name], entries[:-1], "bytes too many"),
        ([name], [*entries, {"name": "more", "shape": [9], "dtype": "float32"}], "damaged"),
        ([name], [{**entries[0], "name": "other"}, *entries[1:]], f"has none for {entries[0]['name']}"),
        ([name], [{**entries[0], "shape": entries[0]["shape"][::-1]}, *entries[1:]], "weights of shape"),
        ([name], [{**entries[0], "dtype": "string"}, *entries[1:]], "damaged"),
        ([name], [{**entries[0], "quantization": huge}, *entries[1:]], "overflow"),
    ):
        with pytest.raises(ModelFileError, match=message):
            load_model(edited(folder, weightsManifest=manifest(paths, weights)))


def test_weights_of_one_name_are_refused(tf, tmp_path):
    """TensorFlow.js numbers no names over models, so that those of layers called alike in two of them are in its file twice."""
    import tf_keras

    image = tf_keras.Input((8, 8, 3))
    halves = []
    for name in ("left", "right"):
        inputs = tf_keras.Input((8, 8, 3))
        halves.append(tf_keras.Model(inputs, tf_keras.layers.Conv2D(4, 8, name="conv")(inputs), name=name)(image))
    scores = tf_keras.layers.Dense(3)(tf_keras.layers.Flatten()(tf_keras.layers.Concatenate()(halves)))
    with pytest.raises(ModelFileError, match="several are called conv/kernel; give the Keras model"):
        load_model(save(tf_keras.Model(image, scores), tmp_path / "web"))


def test_a_graph_model_is_told_apart(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": []}))
    with pytest.raises(UnsupportedModelError, match="give the Keras model or SavedModel that it was converted from"):
        load_model(path)
