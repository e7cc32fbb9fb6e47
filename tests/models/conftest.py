"""Small models written by both frameworks into a temporary folder, one function each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgecls.extras import require


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Keras 3."""
    return require("keras")


@pytest.fixture(scope="session")
def tf_keras() -> ModuleType:
    """Keras 2."""
    return require("tf_keras")


@pytest.fixture(scope="session")
def tf() -> ModuleType:
    """TensorFlow."""
    return require("tensorflow")


@pytest.fixture(params=["keras", "tf_keras"])
def framework(request: pytest.FixtureRequest) -> ModuleType:
    """Each generation of Keras in turn."""
    return request.getfixturevalue(request.param)


def small_classifier(framework: ModuleType, *before: Any, shape: tuple[int, ...] = (8, 8, 3), activation: str | None = "softmax") -> Any:
    """A Functional model: the given layers, a convolution, pooling, and three classes."""
    inputs = framework.Input(shape)
    value = inputs
    for layer in before:
        value = layer(value)
    value = framework.layers.Conv2D(4, 3, activation="relu")(value)
    value = framework.layers.GlobalAveragePooling2D()(value)
    return framework.Model(inputs, framework.layers.Dense(3, activation=activation)(value))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a model under a name in a temporary folder."""

    def save(model: Any, name: str) -> Path:
        path = tmp_path / name
        model.save(str(path))
        return path

    return save
