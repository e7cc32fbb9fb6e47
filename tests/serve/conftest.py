"""What the tests of the service share: a server on a written classifier, and pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from served import Server, write_classifier


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """uint8 [40, 60, 3]."""
    return np.random.default_rng(7).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="session")
def png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("serve") / "tiny.tflite")


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Server]:
    """One worker, no token."""
    with Server([model, "--workers", 1, "--max-upload", 1, "--max-pixels", 0.5]) as server:
        yield server
