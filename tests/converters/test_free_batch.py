"""ONNX files take any number of images also where the converter, with one image, dropped the batch axis: three at once as each alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgecls.converters.onnx import convert as onnx_convert
from edgecls.converters.onnx.free_batch import StuckError, free_batch
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert


def attention(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 255)(inputs)))
    value = layers.LayerNormalization()(value)
    value = layers.Add()([layers.MultiHeadAttention(2, 4)(value, value), value])
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(value)))


def padded(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((20, 14, 3))
    value = layers.Rescaling(1 / 255)(layers.Resizing(16, 16, pad_to_aspect_ratio=True)(inputs))
    value = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(value))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(value))


def averaged(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Flatten()(layers.Conv2D(4, 3, strides=3, activation="relu")(layers.Rescaling(1 / 255)(inputs)))
    left, right = layers.Dense(6)(value), layers.Dense(6, activation="tanh")(value)
    value = layers.Concatenate()([layers.Average()([left, right]), layers.Add()([left, right])])
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(value))


def mirrored(keras: Any) -> Any:
    """Looks at the image, blue first, and at its mirror image."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Rescaling(1 / 255)(inputs[:, :, :, ::-1])
    look = keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()])
    value = layers.Concatenate()([look(value), look(value[:, :, ::-1])])
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(value))


def flipped(keras: Any) -> Any:
    """The same on feature maps, by an operation of its own."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    value = layers.Conv2D(4, 3)(value - keras.ops.flip(value, axis=2))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Flatten()(value)))


def class_token(keras: Any) -> Any:
    """A layer that puts a token of its own before the tokens of every image, as vision transformers do."""

    class Token(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")
            self.places = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), initializer="random_normal", name="places")

        def call(self, value: Any) -> Any:
            tf = require("tensorflow")
            token = tf.broadcast_to(self.token, [tf.shape(value)[0], 1, value.shape[-1]])
            return tf.concat([token, value], 1) + self.places

    return Token()


def transformer(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    value = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 255)(inputs)))
    value = class_token(keras)(value)
    value = layers.Add()([layers.MultiHeadAttention(2, 4)(value, value), value])
    value = layers.LayerNormalization()(value)[:, 0]
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(value))


CASES = {
    "attention of Keras 2": ("tf_keras", attention),
    "attention of Keras 3": ("keras", attention),
    "pad-Resizing": ("keras", padded),
    "slices backwards, Keras 3": ("keras", mirrored),
    "slices backwards, Keras 2": ("tf_keras", mirrored),
    "reversals": ("keras", flipped),
    "Average and Add of vectors, Keras 3": ("keras", averaged),
    "Average and Add of vectors, Keras 2": ("tf_keras", averaged),
    "class token of Keras 2": ("tf_keras", transformer),
    "class token of Keras 3": ("keras", transformer),
}


@pytest.mark.parametrize(("framework", "build"), CASES.values(), ids=CASES)
def test_three_images_at_once(framework: str, build: Callable[[Any], Any], tmp_path: Path) -> None:
    model = build(require(framework))
    if build is transformer:
        saved(framework, model, tmp_path / "model")
    else:
        model.save(str(tmp_path / "model.keras"))
    path = tmp_path / ("model" if build is transformer else "model.keras")
    shape = model.input_shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (12, *shape), np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    options = ConvertOptions(
        model=path, output=tmp_path / "out", targets=("onnx",), calibration=tmp_path / "images.npz", preprocess="0..255"
    )
    manifest = convert(options)
    assert {artifact.scheme: artifact.status for artifact in manifest.artifacts} == dict.fromkeys(
        ("float32", "float16", "int8"), "ok"
    )
    assert not any("one image at a time" in note for note in manifest.notes)
    for artifact in manifest.artifacts:
        session = onnxruntime.InferenceSession(tmp_path / "out" / artifact.path, providers=["CPUExecutionProvider"])
        batch = images[:3].astype(np.float32)
        together = np.asarray(session.run(None, {"image": batch})[0])
        apart = np.concatenate([np.asarray(session.run(None, {"image": image[None]})[0]) for image in batch])
        # the same sums, which another kernel for more rows may add in another order; int8 codes may then fall to the neighbour
        assert np.abs(together - apart).max() <= (2e-2 if artifact.scheme == "int8" else 2e-3)
        assert np.abs(apart[0] - apart[1]).max() > 0


def saved(framework: str, model: Any, path: Path) -> None:
    """As a SavedModel: a layer of one's own is in no Keras file."""
    model.save(str(path)) if framework == "tf_keras" else model.export(str(path), verbose=False)


def onnx_model(*nodes: onnx.NodeProto, results: tuple[str, ...] = ("scores",), **constants: Any) -> onnx.ModelProto:
    """Of one image [1, 4], with scores [1, 4] each."""
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in ("image", *results)]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    return helper.make_model(
        helper.make_graph(nodes, "small", values[:1], values[1:], initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_scores_that_no_image_reaches_have_no_batch_axis() -> None:
    model = onnx_model(
        helper.make_node("Relu", ["image"], ["scores"]),
        helper.make_node("Relu", ["constant"], ["same"]),
        results=("scores", "same"),
        constant=np.ones((1, 4), np.float32),
    )
    with pytest.raises(StuckError, match="same"):
        free_batch(model, "N")


def test_expand_may_be_told_the_last_sizes_alone() -> None:
    model = onnx_model(helper.make_node("Expand", ["image", "sizes"], ["scores"]), sizes=np.array([4]))
    free_batch(model, "N")
    images = np.arange(12, dtype=np.float32).reshape(3, 4)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(np.asarray(session.run(None, {"image": images})[0]), images)


def test_a_fault_of_the_rewriting_is_no_graph_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that cannot take several images stays as it is; a mistake of ours must be heard of."""
    model = onnx_model(helper.make_node("Relu", ["image"], ["scores"]))

    def faulty(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("edgecls.converters.onnx.free_batch.free_batch", faulty)
    with pytest.raises(KeyError):
        onnx_convert._free_batch(model)
