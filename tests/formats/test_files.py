"""Sizes, hashes and the recognition of formats."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgecls.errors import ArtifactError
from edgecls.formats import describe, detect, file_sizes, read_record, sha256
from edgecls.formats.files import members


def _package(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_sizes_of_a_file_are_those_of_one_deflate_stream(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 4, 3_000_000, np.uint8).tobytes()  # more than one chunk
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert file_sizes(path) == (len(content), len(deflate.compress(content)) + len(deflate.flush()))


def test_a_package_is_the_sum_of_its_files(tmp_path: Path) -> None:
    package = _package(tmp_path / "a.mlpackage", {"Manifest.json": b"{}", "Data/weights/weight.bin": bytes(5000)})
    singles = [file_sizes(package / name) for name in ("Manifest.json", "Data/weights/weight.bin")]
    assert file_sizes(package) == tuple(map(sum, zip(*singles, strict=True)))


def test_sha256_of_a_file_is_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_sha256_of_a_package_knows_names_and_contents_not_the_place(tmp_path: Path) -> None:
    files = {"Manifest.json": b"{}", "Data/w.bin": b"12"}
    one, same = _package(tmp_path / "1", files), _package(tmp_path / "2", dict(reversed(files.items())))
    moved = _package(tmp_path / "3", {"Manifest.json": b"{}1", "Data/w.bin": b"2"})
    renamed = _package(tmp_path / "4", {"Manifest.json": b"{}", "Data/v.bin": b"12"})
    assert sha256(one) == sha256(same)
    assert len({sha256(one), sha256(moved), sha256(renamed)}) == 3


def test_formats_are_recognized_without_their_suffix(
    foreign_tflite: dict[str, Path], foreign_onnx: dict[str, Path], tmp_path: Path
) -> None:
    for target, source in (("tflite", foreign_tflite["float32"]), ("onnx", foreign_onnx["float32"])):
        plain = tmp_path / f"{target}-without-suffix"
        plain.write_bytes(source.read_bytes())
        assert detect(plain) == target
        assert describe(plain).inputs == describe(source).inputs


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model", "model.mlpackage"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"\x89HDF\r\n\x1a\n" + bytes(200),
        b"PK\x03\x04" + bytes(200),
        b"hello",
        bytes(1000),
        bytes(range(256)) * 4,
    ],
    ids=["empty", "lfs", "hdf5", "zip", "text", "zeros", "ramp"],
)
def test_files_that_are_none_of_the_formats(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (describe, read_record):
        with pytest.raises(ArtifactError) as caught:
            read(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_missing_files_and_folders_that_are_no_package(tmp_path: Path) -> None:
    (tmp_path / "empty.mlpackage").mkdir()
    for path in (tmp_path / "none.tflite", tmp_path / "none.mlpackage", tmp_path / "empty.mlpackage"):
        for read in (describe, read_record, file_sizes, sha256):
            with pytest.raises(ArtifactError):
                read(path)


def test_the_message_names_git_lfs(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ArtifactError, match="git lfs pull"):
        describe(path)


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    """Class folders are often links to where the photos lie: what changes there is another content."""
    photos, linked = tmp_path / "photos", tmp_path / "linked"
    (photos / "small").mkdir(parents=True)
    linked.mkdir()
    (photos / "1.png").write_bytes(b"one")
    (photos / "small" / "2.png").write_bytes(b"two")
    for name in ("cat", "dog"):
        (linked / name).symlink_to(photos, target_is_directory=True)
    (photos / "again").symlink_to(tmp_path, target_is_directory=True)
    (photos / "itself").symlink_to("itself")
    found = [item.relative_to(linked).as_posix() for item in members(linked)]
    inner = [name for name in found if "again" not in name]
    assert inner == ["cat/1.png", "cat/small/2.png", "dog/1.png", "dog/small/2.png"]
    before = sha256(linked)
    (photos / "1.png").write_bytes(b"another")
    assert sha256(linked) != before
