"""Patches of an image: `tf.image.extract_patches` in operations that every format has, the same to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgecls.errors import UnsupportedModelError
from edgecls.models import load_model, rebuild
from edgecls.models.freezing import freeze_function

# height, width, sizes, strides, rates, padding
CUTS = [
    (8, 12, (2, 3), (2, 3), (1, 1), "VALID"),
    (8, 12, (4, 4), (4, 4), (1, 1), "SAME"),
    (7, 9, (2, 2), (2, 2), (1, 1), "VALID"),
    (7, 9, (2, 2), (2, 2), (1, 1), "SAME"),
    (8, 8, (3, 3), (1, 1), (1, 1), "SAME"),
    (9, 8, (3, 2), (2, 1), (2, 2), "VALID"),
]
LAYERS = """
import tensorflow as tf
import KERAS as keras


class Patches(keras.layers.Layer):
    def call(self, images):
        patches = tf.image.extract_patches(images, [1, SIZE, SIZE, 1], [1, 4, 4, 1], [1, 1, 1, 1], "VALID")
        return tf.reshape(patches, (tf.shape(images)[0], 4, SIZE * SIZE * 3))


class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution, self.normalization = keras.layers.Conv2D(3, 1), keras.layers.BatchNormalization()
        self.last = keras.layers.LayerNormalization()

    def build(self, shape):
        self.convolution.build(shape)
        self.normalization.build(shape)
        self.last.build(shape)

    def call(self, images, training=None):
        return self.last(self.normalization(self.convolution(images), training=training))
"""


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("height", "width", "sizes", "strides", "rates", "padding"), CUTS)
def test_they_are_cut_as_tensorflow_cuts_them(height, width, sizes, strides, rates, padding, dtype, tf_keras):
    import tensorflow as tf

    def cut(image: Any) -> Any:
        around = [[1, *pair, 1] for pair in (sizes, strides, rates)]
        return [tf.cast(tf.image.extract_patches(tf.cast(image, dtype), *around, padding), tf.float32)]

    graph = freeze_function(cut, (height, width, 3))
    assert "ExtractImagePatches" not in {node.op for node in graph.node}
    image = np.random.default_rng(0).standard_normal((1, height, width, 3)).astype(np.float32)
    run = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), []).prune("image:0", "scores:0")
    np.testing.assert_array_equal(run(tf.constant(image)).numpy(), cut(image)[0].numpy())


def test_overlapping_patches_that_would_take_a_huge_kernel_are_refused(tf_keras):
    import tensorflow as tf

    def cut(image: Any) -> Any:
        return [tf.image.extract_patches(image, [1, 30, 30, 1], [1, 8, 8, 1], [1, 1, 1, 1], "VALID")]

    with pytest.raises(UnsupportedModelError, match="patches of 2,700 values"):
        freeze_function(cut, (64, 64, 3))


@pytest.mark.parametrize("size", [4, 3])
def test_layers_with_patches_and_normalizations_are_written_out_for_training(
    framework: ModuleType, saved: Callable[..., Path], tmp_path: Path, size: int
):
    python = tmp_path / f"layers_{framework.__name__}.py"
    python.write_text(LAYERS.replace("KERAS", framework.__name__).replace("SIZE", str(size)))
    names: dict = {"__name__": "somebodys.own.module"}
    exec(python.read_text(), names)
    block, patches = names["Block"](), names["Patches"]()
    model = framework.Sequential(
        [
            framework.Input((8, 8, 3)),
            block,
            patches,
            framework.layers.GlobalAveragePooling1D(),
            framework.layers.Dense(3, activation="softmax"),
        ]
    )
    generator = np.random.default_rng(1)
    block.normalization.set_weights([generator.uniform(0.5, 2, 3) for _ in range(4)])
    loaded = load_model(saved(model, "m.keras"), custom_objects=python, allow_code=True)
    images = generator.uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict(images), model(images).numpy(), rtol=1e-5, atol=1e-6)
    rebuilt = rebuild(loaded).model
    rebuilt.save(str(tmp_path / "variant.keras"))
    again = load_model(tmp_path / "variant.keras")
    np.testing.assert_allclose(again.predict(images), model(images).numpy(), rtol=1e-5, atol=1e-6)
