"""Damaged HDF5 files on which the library itself hangs or dies are refused like others."""

from __future__ import annotations

import os
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgecls.errors import ModelFileError
from edgecls.models import h5_trial
from edgecls.models.model_file import examine
from edgecls.system.worker import Worker


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library goes through the texts of an attribute one after the other: here the second one is free space of no size."""
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr(h5_trial, "_LEAST_S", 2.0)  # sound files of this size take milliseconds
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"  # takes 16 bytes behind the 32 of two headers
        file.attrs["model_config"] = "{}"
    content = bytearray(path.read_bytes())
    second = content.index(b"GCOL") + 16 + 16 + 8
    assert content[second] == 2
    content[second : second + 16] = bytes(16)
    path.write_bytes(content)
    return path


def test_endless_reading_is_refused(endless: Path):
    with pytest.raises(ModelFileError, match="hangs or dies"):
        examine(endless)


def test_within_an_archive(endless: Path, tmp_path: Path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(endless, "model.weights.h5")
    with pytest.raises(ModelFileError, match="hangs or dies"):
        examine(path)


@pytest.fixture
def nothing_in_it(tmp_path: Path) -> Path:
    path = tmp_path / "m.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    return path


@pytest.fixture
def finds_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process that reads can import this file; the one that was started before could not."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    h5_trial._worker.cache_clear()


@pytest.mark.usefixtures("finds_this_file")
def test_a_library_that_dies_is_survived(nothing_in_it: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(h5_trial, "read_all", killed)
        with pytest.raises(ModelFileError, match="hangs or dies"):
            h5_trial.try_reading(nothing_in_it)
    h5_trial.try_reading(nothing_in_it)


def killed(path: Path, member: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def another(path: Path) -> Path:
    return shutil.copyfile(path, path.with_name("another.h5"))


def test_a_process_that_ended_between_two_files_is_no_fault_of_the_next(nothing_in_it: Path):
    h5_trial.try_reading(nothing_in_it)
    h5_trial._worker().kill()
    h5_trial.try_reading(another(nothing_in_it))


def test_one_process_reads_all_files(nothing_in_it: Path, monkeypatch: pytest.MonkeyPatch):
    h5_trial.try_reading(nothing_in_it)
    monkeypatch.setattr(Worker, "__init__", lambda *_: pytest.fail("another process"))
    h5_trial.try_reading(another(nothing_in_it))


def test_a_file_is_read_once_until_it_changes(nothing_in_it: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    start = Worker.start
    monkeypatch.setattr(Worker, "start", lambda self, *call: asked.append(call[0]) or start(self, *call))
    for _ in range(3):
        h5_trial.try_reading(nothing_in_it)
    assert asked.count(h5_trial.read_all) == 1
    nothing_in_it.write_bytes(nothing_in_it.read_bytes() + b"more")
    h5_trial.try_reading(nothing_in_it)
    assert asked.count(h5_trial.read_all) == 2


@pytest.mark.usefixtures("finds_this_file")
def test_a_file_that_hung_is_tried_again(nothing_in_it: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(h5_trial, "read_all", killed)
    for _ in range(2):
        with pytest.raises(ModelFileError, match="hangs or dies"):
            h5_trial.try_reading(nothing_in_it)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_the_same_however_it_is_kept(compression: int, tmp_path: Path):
    content = bytes(range(256)) * 64
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.writestr("m", content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, h5_trial.open_member(archive, "m") as member:
        member.seek(1000)
        assert member.read(100) == content[1000:1100]
        member.seek(3)
        assert member.read() == content[3:]
