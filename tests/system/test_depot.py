"""The cache folder of a machine that measures for another."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgecls.system import depot


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgecls" / "depot"


def bring(key: str, name: str, members: dict[str, bytes]) -> str:
    partial = depot.begin()
    for member, content in members.items():
        for start in range(0, len(content), 3):
            depot.append(partial, member, content[start : start + 3])
    return depot.finish(partial, key, name)


def test_files_and_packages_are_found_again_by_content_and_name():
    assert depot.find("k1", "a.onnx") is None
    place = bring("k1", "a.onnx", {"a.onnx": b"weights"})
    assert depot.find("k1", "a.onnx") == place
    assert Path(place).read_bytes() == b"weights"
    assert depot.find("k1", "b.onnx") is None
    package = bring("k2", "m.mlpackage", {"m.mlpackage/Manifest.json": b"{}", "m.mlpackage/Data/w.bin": b"12345"})
    assert Path(package, "Data", "w.bin").read_bytes() == b"12345"
    assert bring("k2", "m.mlpackage", {"m.mlpackage/Manifest.json": b"{}"}) == package  # by another run meanwhile
    assert Path(package, "Data", "w.bin").exists()


def test_half_a_file_is_none(cache: Path):
    partial = depot.begin()
    depot.append(partial, "a.onnx", b"wei")
    assert depot.find("k1", "a.onnx") is None
    assert [item.name for item in cache.iterdir()] == [Path(partial).name]


def test_what_no_run_used_for_a_week_goes(cache: Path):
    for key in ("old", "used"):
        bring(key, "a", {"a": b"1"})
    half = Path(depot.begin())
    ago = time.time() - (depot.KEPT_DAYS + 1) * 86400
    for item in (cache / "old", cache / "used", half):
        os.utime(item, (ago, ago))
    assert depot.find("used", "a")
    depot.begin()
    assert depot.find("used", "a")
    assert not (cache / "old").exists()
    assert not half.exists()


def test_private_images_are_not_for_others(cache: Path):
    bring("k1", "pixels", {"pixels": b"1"})
    assert cache.stat().st_mode & 0o077 == 0
