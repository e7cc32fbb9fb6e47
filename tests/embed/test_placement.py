"""What is embedded replaces what was embedded before, all of it together, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edgecls.embed.placement import place_files, remove_files
from edgecls.errors import ArtifactError, OutputError
from edgecls.formats import sha256
from edgecls.records.embedding import EMBEDDING_NAME, Embedding
from edgecls.system.store import staging
from killing import killed_at_every_step


def put(root: Path, files: dict[str, str | dict[str, str]]) -> None:
    """Embed files of these texts, and packages of files."""
    with staging(root) as staged:
        made = []
        for index, (path, content) in enumerate(files.items()):
            new = staged / str(index)
            if isinstance(content, dict):
                new.mkdir()
                for name, text in content.items():
                    (new / name).write_text(text)
            else:
                new.write_text(content)
            made.append((new, path))
        place_files(root, staged, made, "web")


def take(root: Path) -> list[str]:
    with staging(root) as staged:
        return remove_files(root, staged)


def tree(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


FIRST = {
    "public/edgecls/a.tflite": "a",
    "public/edgecls/golden/x.png": "x",
    "src/model.ts": "1",
    "public/edgecls/m.mlpackage": {"w": "1"},
}


def test_a_second_call_replaces_what_the_first_put_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "public/edgecls").mkdir(parents=True)
    (tmp_path / "public/edgecls/mine.txt").write_text("mine")
    put(tmp_path, FIRST)
    put(tmp_path, {"public/edgecls/b.tflite": "b", "public/edgecls/m.mlpackage": {"v": "2"}})
    found = tree(tmp_path)
    found.pop(EMBEDDING_NAME)
    assert found == {"public/edgecls/mine.txt": "mine", "public/edgecls/b.tflite": "b", "public/edgecls/m.mlpackage/v": "2"}
    assert not (tmp_path / "public/edgecls/golden").exists()
    assert not (tmp_path / "src").exists()
    listed = Embedding.read(tmp_path)
    assert listed and list(listed.files) == ["public/edgecls/b.tflite", "public/edgecls/m.mlpackage"]


def test_removing_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("page")
    put(tmp_path, FIRST)
    assert take(tmp_path) == list(FIRST)
    assert tree(tmp_path) == {"public/index.html": "page"}
    assert [path.name for path in tmp_path.iterdir()] == ["public"]  # no hidden folder, no list
    with pytest.raises(OutputError, match="an app that something was embedded into"):
        take(tmp_path)


@pytest.mark.parametrize("edited", ["public/edgecls/a.tflite", "public/edgecls/m.mlpackage/w"])
def test_a_file_that_someone_edited_stops_everything(edited: str, tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    (tmp_path / edited).write_text("edited")
    before = tree(tmp_path)
    for call in (lambda: put(tmp_path, {"public/edgecls/b.tflite": "b"}), lambda: take(tmp_path)):
        with pytest.raises(OutputError, match="edited since"):
            call()
    assert tree(tmp_path) == before
    named = tmp_path / "public/edgecls/a.tflite"
    if edited == "public/edgecls/a.tflite":  # the remedy works
        named.unlink()
        put(tmp_path, FIRST)
        assert named.read_text() == "a"


def test_a_file_of_someone_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/model.ts").write_text("mine")
    with pytest.raises(OutputError, match="was not put there by edgecls"):
        put(tmp_path, FIRST)
    assert tree(tmp_path) == {"src/model.ts": "mine"}


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "public").write_text("a file")
    with pytest.raises(OutputError, match="which is a file"):
        put(tmp_path, FIRST)
    assert tree(tmp_path) == {"public": "a file"}


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "public")  # root may write everywhere
    with pytest.raises(OutputError, match=r"public, which is read-only; make it writable"):
        put(tmp_path, FIRST)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("text", ["{", '{"schema_version": 9, "platform": "web", "edgecls_version": "1", "files": {}}'])
def test_a_damaged_list_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / EMBEDDING_NAME).write_text(text)
    with pytest.raises(ArtifactError, match="a list of what was embedded"):
        put(tmp_path, FIRST)


def test_a_list_does_not_lead_out_of_the_app(tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    outside = tmp_path / "outside.txt"
    outside.write_text("keep")
    listed = Embedding(platform="web", edgecls_version="1", files={}).model_dump() | {"files": {"../outside.txt": "0" * 64}}
    (root / EMBEDDING_NAME).write_text(json.dumps(listed))
    with pytest.raises(ArtifactError, match="a name without a folder"):
        take(root)
    assert outside.read_text() == "keep"


def test_a_kill_at_every_step_leaves_the_app_as_it_was_or_as_it_was_to_be(tmp_path: Path) -> None:
    root, before = tmp_path / "app", tmp_path / "before"
    before.mkdir()
    (before / "mine.txt").write_text("mine")
    put(before, FIRST)
    second: dict[str, str | dict[str, str]] = {"public/edgecls/a.tflite": "A", "public/edgecls/m.mlpackage": {"v": "2"}}
    states = []

    def prepare() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(before, root)

    for _ in killed_at_every_step(prepare, lambda: put(root, second)):
        listed = Embedding.read(root)
        assert listed
        assert {path: sha256(root / path) for path in listed.files} == listed.files
        states.append(tuple(listed.files))
        assert set(take(root)) == set(listed.files)
        assert tree(root) == {"mine.txt": "mine"}
    turn = states.index(tuple(second))
    assert states == [tuple(FIRST)] * turn + [tuple(second)] * (len(states) - turn)
    assert turn > 5 and len(states) - turn > 5
