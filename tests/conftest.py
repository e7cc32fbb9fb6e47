"""What all tests share: where the real models and images are."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real input is not here: no folder ../shared/{name} beside the repository")
    return folder


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Real models made by others."""
    return _shared("zoo")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images made by others."""
    return _shared("data")
