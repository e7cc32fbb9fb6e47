"""`.keras` files whose groups of weights Windows named with backslashes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from edgecls.errors import ModelFileError
from edgecls.models.windows_paths import has_windows_paths


def archive(path: Path, group: str, *, damaged: bool = False) -> Path:
    h5py = pytest.importorskip("h5py")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group(group)
    content = bytearray(weights.getvalue())
    if damaged:
        name = content.index(b"SNOD") + 8  # of the first link, as an offset into the names of the group
        content[name : name + 8] = (1 << 20).to_bytes(8, "little")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.weights.h5", bytes(content))
    return path


def test_backslashes_are_seen(tmp_path: Path):
    assert has_windows_paths(archive(tmp_path / "m.keras", "layers\\dense"))
    assert not has_windows_paths(archive(tmp_path / "n.keras", "layers/dense"))


def test_names_that_cannot_be_read_are_refused_in_a_line(tmp_path: Path):
    with pytest.raises(ModelFileError, match="whose weights are damaged"):
        has_windows_paths(archive(tmp_path / "m.keras", "layers", damaged=True))
