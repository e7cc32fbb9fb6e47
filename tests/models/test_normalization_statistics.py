"""Normalization layers whose mean and variance are weights, as `adapt` or ImageNet's weights of an EfficientNet leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_models import small_classifier

from edgecls.models import load_model
from edgecls.models.flat_base import flat_base, resized
from edgecls.models.statistics import take_over_statistics

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_they_are_those_of_the_file(framework: Any, tmp_path: Path, name: str, depth: int) -> None:
    """Keras 3 itself reads an `.h5` whose Normalization is in a nested model as if it had never been adapted."""
    normalization = framework.layers.Normalization()
    normalization.adapt(RNG.uniform(40, 90, (16, 8, 8, 3)))
    first = normalization
    for _ in range(depth):
        first = framework.Sequential([framework.Input((8, 8, 3)), first])
    model = small_classifier(framework, first)
    images = RNG.uniform(0, 255, (5, 8, 8, 3)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    model.save(str(tmp_path / name))
    loaded = load_model(tmp_path / name)
    np.testing.assert_allclose(loaded.predict(images), expected, rtol=1e-4)  # the same weights, softmax of large values
    assert loaded.image_spec.provenance == "in-model"  # what it scales by is told from the same numbers


@pytest.mark.parametrize("size", [(8, 8, 3), (12, 16, 3)])
def test_a_base_for_training_has_them(framework: Any, keras: Any, tmp_path: Path, size: tuple[int, int, int]) -> None:
    """Keras 3 makes its layers anew, of those of Keras 2 and for images of another size."""
    normalization = framework.layers.Normalization()
    normalization.adapt(RNG.uniform(40, 90, (16, 8, 8, 3)))
    small_classifier(framework, normalization).save(str(tmp_path / "model.h5"))
    base = flat_base(load_model(tmp_path / "model.h5"))
    _, layers = resized(base, keras.Input(size))
    (found,) = (layer for layer in layers if isinstance(layer, keras.layers.Normalization))
    np.testing.assert_array_equal(np.ravel(found.mean), np.ravel(normalization.mean))
    np.testing.assert_array_equal(np.ravel(found.variance), np.ravel(normalization.variance))


def test_a_base_for_training_has_those_inside_another_layer(keras: Any, tmp_path: Path) -> None:
    """A Pipeline is a layer, not a model, and so is made anew as a whole."""
    normalization = keras.layers.Normalization()
    normalization.adapt(RNG.uniform(40, 90, (16, 8, 8, 3)))
    small_classifier(keras, keras.layers.Pipeline([normalization])).save(str(tmp_path / "model.keras"))
    base = flat_base(load_model(tmp_path / "model.keras"))
    pixels = keras.Input((8, 8, 3))
    features, _ = resized(base, pixels)
    images = RNG.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(keras.Model(pixels, features)(images), base.model(images), rtol=1e-5)


def test_a_layer_of_that_name_of_ones_own_is_left_alone(framework: Any) -> None:
    class Normalization(framework.layers.Layer):
        def finalize_state(self) -> None:
            raise AssertionError

    take_over_statistics([Normalization()])
