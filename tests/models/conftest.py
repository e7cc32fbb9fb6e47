"""The frameworks, and a way to save their models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgecls.system.extras import require


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


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a model under a name in a temporary folder."""

    def save(model: Any, name: str) -> Path:
        path = tmp_path / name
        model.save(str(path))
        return path

    return save
