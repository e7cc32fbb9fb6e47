"""Folders that several processes work in: whatever is killed, they are as they were or as they were to be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecls.errors import OutputError
from edgecls.formats import change_since_conversion
from edgecls.records.artifact import Manifest, Source
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Pruning, Recipe, Training
from edgecls.records.variant import Variant, VariantSet
from edgecls.system import store
from edgecls.system.lock import Lock, try_lock
from edgecls.system.private_folder import PrivateFolder, sweep
from edgecls.system.store import changing, settle, staging, write_text
from edgecls.workflow.compress import _write
from edgecls.workflow.publication import publish
from edgecls.workflow.variants import open_variant
from gate_folder import FLOAT, INT8, MADE, make_folder
from killing import killed_at_every_step

HOLDER = """
import sys, time
from pathlib import Path
from edgecls.system.private_folder import PrivateFolder
own = PrivateFolder(Path(sys.argv[1]), "mine-")
(own.path / "work").mkdir()
print(own.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a private folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_what_a_living_process_works_in_is_left_and_a_dead_ones_swept(
    tmp_path: Path, holder: tuple[subprocess.Popen[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, path = holder
    monkeypatch.setattr(os, "getpid", lambda: process.pid)  # two containers may give the same number
    with PrivateFolder(tmp_path, "mine-") as own:
        assert own != path
        sweep(tmp_path, "mine-")
        assert (path / "work").is_dir() and own.is_dir()
        process.kill()
        process.wait()
        sweep(tmp_path, "mine-")
        assert not path.exists() and own.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_no_lock_no_sweeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no locks, nothing tells whether a process lives."""
    with PrivateFolder(tmp_path, "mine-") as own:
        path = own / "lock"
        descriptor = os.open(path, os.O_RDWR)
        monkeypatch.setattr("edgecls.system.private_folder.try_lock", lambda _: Lock(path, descriptor, is_exclusive=False))
        sweep(tmp_path, "mine-")
        assert own.is_dir()


def test_links_and_files_of_the_name_are_not_swept(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (aim / "kept").touch()
    (tmp_path / "mine-link").symlink_to(aim)
    (tmp_path / "mine-file").touch()
    sweep(tmp_path, "mine-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aim", "mine-file", "mine-link"]
    assert [path.name for path in aim.iterdir()] == ["kept"]


def test_a_lock_has_one_holder_and_its_file_goes_with_it(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "lock")
    assert lock is not None
    assert try_lock(tmp_path / "lock") is None
    lock.release()
    again = try_lock(tmp_path / "lock")
    assert again is not None
    again.release()
    assert list(tmp_path.iterdir()) == []


OLD = {"file": "old", "package": {"inside": "old"}, "gone": "old", "gone package": {"inside": "old"}, "record": "old"}
NEW = {"file": "new", "package": {"inside": "new"}, "more": "new", "record": "new"}


def lay(folder: Path, content: dict[str, str | dict[str, str]]) -> None:
    """Write a folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, value in content.items():
        if isinstance(value, str):
            (folder / name).write_text(value)
        else:
            lay(folder / name, {**value})


def read(folder: Path) -> dict[str, str | dict[str, str]]:
    """What someone who lists a folder sees."""
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return {path.name: path.read_text() if path.is_file() else {**read(path)} for path in shown}  # type: ignore[misc]


def change(folder: Path) -> None:
    """From OLD to NEW."""
    with staging(folder) as staged:
        (staged / "file").write_text("new")
        (staged / "more").write_text("new")
        lay(staged / "package", {"inside": "new"})
        with changing(folder, staged) as planned:
            for name in ("file", "package", "more"):
                planned.put(staged / name, name)
            planned.write("record", "new")
            planned.remove(["gone", "gone package", "never there"])


def test_a_kill_at_every_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    folder, found = tmp_path / "folder", []
    for _ in killed_at_every_step(lambda: lay(folder, OLD), lambda: change(folder)):
        seen = read(folder)
        for name, value in seen.items():  # also without settling each file is whole
            assert value in (OLD.get(name), NEW.get(name))
        missing = (OLD.keys() & NEW.keys()) - seen.keys()
        assert missing <= {"package"}  # between two renames
        if seen["record"] == "new":
            assert NEW.items() <= seen.items()  # what tells of the others comes last
        settle(folder)
        found.append(read(folder))
        write_text(folder / "other", "next")
        assert read(folder) == {**found[-1], "other": "next"}
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] in ([], [".edgecls.system.lock"])
    turn = found.index(NEW)
    assert found == [OLD] * turn + [NEW] * (len(found) - turn)
    assert turn > 10 and len(found) - turn > 10
    assert read(folder) == NEW  # the last one was not killed


def test_a_kill_of_whoever_finishes_a_change_leaves_it_to_the_next(tmp_path: Path) -> None:
    folder, begun = tmp_path / "folder", tmp_path / "begun"
    for _ in killed_at_every_step(lambda: lay(begun, OLD), lambda: change(begun)):
        if list(begun.glob(".edgecls-*/journal.json")):
            break

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(begun, folder)

    kills = 0
    for _ in killed_at_every_step(prepare, lambda: settle(folder)):
        settle(folder)
        assert read(folder) == NEW
        kills += 1
    assert kills > 10


def test_a_kill_while_a_conversion_is_put_in_place_leaves_one_whole_conversion(tmp_path: Path) -> None:
    """The gate's test: every file is the one that the manifest tells of."""
    folder, before, after = tmp_path / "out", tmp_path / "before", tmp_path / "after"
    make_folder(before, {FLOAT: 8, INT8: 8})
    manifest = make_folder(after, {FLOAT: 9, "base-onnx-float16": 9})

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)

    def work() -> None:
        with staging(folder) as staged:
            shutil.copytree(after, staged / "made")
            files = [(staged / "made" / row.path, row.path) for row in manifest.artifacts]
            publish(folder, staged, manifest.model_copy(deep=True), files, "base")

    names = set()
    for _ in killed_at_every_step(prepare, work):
        found = Manifest.read(folder)
        assert [change_since_conversion(folder / row.path, row) for row in found.artifacts] == [""] * len(found.artifacts)
        names.add(tuple(row.name for row in found.artifacts))
    assert names == {(FLOAT, INT8), (FLOAT, "base-onnx-float16", INT8)}


class Weights:
    """Saved as a model is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, path: Path) -> None:
        """To one file."""
        path.write_text(self.text)


def trained(name: str, model: str) -> tuple[VariantSet, tuple[Variant, Any]]:
    """One variant of a model, and the record of all that there are."""
    shared: dict[str, Any] = {
        "source": Source(name=model, sha256=model, format="keras3"),
        "image_spec": ImageSpec(height=4, width=4, channels=3),
        "labels": ["a", "b"],
        "labels_source": "default",
        "edgecls_version": "0.1.0",
    }
    variant = Variant(name=name, training=Training(), output_kind="logits", outputs=2, sha256="", fingerprint=model, **shared)
    counts: dict[str, Any] = {"images": 9, "held_out_images": 1, "base_accuracy": 0.5, "base_loss": 1.0}
    done = VariantSet(
        created=MADE,
        model=model,
        data="images",
        recipe=Recipe(pruning=Pruning(sparsity=0.5)),
        variants=[name],
        **shared,
        **counts,
    )
    return done, (variant, Weights(model))


def test_a_kill_while_a_variant_is_put_in_place_leaves_whole_variants(tmp_path: Path) -> None:
    folder, (before, first), (after, second) = tmp_path / "out", trained("pruned50", "one"), trained("qat", "another")
    again, third = trained("pruned50", "another")

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        _write(folder, before, first, [])

    def work() -> None:
        _write(folder, after, second, before.variants)
        again.variants.insert(0, "qat")
        _write(folder, again, third, before.variants)

    seen = set()
    for _ in killed_at_every_step(prepare, work):
        found = VariantSet.read(folder)
        seen.add((found.model, *(open_variant(folder / name).source.name for name in found.variants)))
    assert seen == {("one", "one"), ("another", "another"), ("another", "another", "another")}


def test_changes_of_two_processes_do_not_mix(tmp_path: Path) -> None:
    def work(mark: str) -> None:
        for _ in range(20):
            with staging(tmp_path) as staged, changing(tmp_path, staged) as planned:
                for name in ("a", "b", "c"):
                    planned.write(name, mark)

    children = []
    for mark in "xy":
        child = os.fork()
        if child == 0:
            try:
                work(mark)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    while children:
        done, status = os.waitpid(-1, os.WNOHANG)
        if done:
            assert status == 0
            children.remove(done)
        lock = try_lock(tmp_path / ".edgecls.system.lock")
        if lock:
            seen = read(tmp_path)
            assert len(set(seen.values())) <= 1 and len(seen) in (0, 3)  # type: ignore[type-var]
            lock.release()
    assert set(read(tmp_path)) == {"a", "b", "c"}


def test_who_does_not_come_to_an_end_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOCK_TIMEOUT_S", 0.05)
    lock = try_lock(tmp_path / ".edgecls.system.lock")
    assert lock is not None
    with (
        pytest.raises(OutputError, match="no other process is changing"),
        staging(tmp_path) as staged,
        changing(tmp_path, staged),
    ):
        pass
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", "", "a/../../secret", "a//b", "a\\\\b", "C:secret"])
@pytest.mark.parametrize("part", ["put", "remove"])
def test_a_strangers_journal_leads_nowhere(tmp_path: Path, name: str, part: str) -> None:
    (tmp_path / "secret").write_text("kept")
    staged = tmp_path / "folder" / ".edgecls-x"
    (staged / "new").mkdir(parents=True)
    journal = {"put": [], "remove": [], part: [name]}
    (staged / "journal.json").write_text(str(journal).replace("'", '"'))
    with pytest.raises(OutputError, match="a journal that edgecls wrote"):
        settle(tmp_path / "folder")
    assert (tmp_path / "secret").read_text() == "kept"


@pytest.mark.parametrize("part", ["put", "remove"])
def test_a_link_in_a_strangers_journal_leads_nowhere(tmp_path: Path, part: str) -> None:
    lay(tmp_path / "elsewhere", OLD)
    staged = tmp_path / "folder" / ".edgecls-x"
    (staged / "new" / "a").mkdir(parents=True)
    (staged / "new" / "a" / "record").write_text("new")
    (tmp_path / "folder" / "a").symlink_to(tmp_path / "elsewhere")
    (staged / "journal.json").write_text(str({"put": [], "remove": [], part: ["a/record"]}).replace("'", '"'))
    with pytest.raises(OutputError, match="folders without links"):
        settle(tmp_path / "folder")
    assert read(tmp_path / "elsewhere") == OLD


def test_files_further_down_are_changed_in_one_step(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("a/b/old", "a/same", "c/same"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    with staging(folder) as staged, changing(folder, staged) as change:
        (staged / "x").write_text("new")
        change.put(staged / "x", "d/e/new")
        change.remove(["a/same", "c/same", "none/there"])
        assert not (folder / "d").exists()
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == ["a/b/old", "d/e/new"]


def test_a_failed_change_changes_nothing(tmp_path: Path) -> None:
    lay(tmp_path / "folder", OLD)
    with pytest.raises(KeyError), staging(tmp_path / "folder") as staged, changing(tmp_path / "folder", staged) as planned:
        planned.write("record", "new")
        raise KeyError
    assert read(tmp_path / "folder") == OLD
    assert {path.name for path in (tmp_path / "folder").iterdir()} == set(OLD)


def test_a_process_that_is_killed_frees_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from edgecls.system.lock import try_lock\n"
        "held = try_lock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False)
    assert done.returncode == -signal.SIGKILL
    lock = try_lock(tmp_path / "lock")
    assert lock is not None and lock.is_exclusive
    lock.release()


def test_ctrl_c_while_a_folder_is_made_leaves_none(tmp_path: Path):
    """Python hears of Ctrl-C where a function begins and where a call of the system has ended: each of these in turn."""

    def work() -> None:
        with staging(tmp_path / "out"):
            sys.setprofile(None)  # the folder is made

    steps = 0
    while _is_interrupted(steps, work):
        assert list(tmp_path.iterdir()) == [], f"interrupted at step {steps}"
        steps += 1
    assert steps > 30  # the folder, the private one in it, its lock, and the calls around them


def _is_interrupted(step: int, work: Callable[[], None]) -> bool:
    left = step

    def hook(_frame: object, event: str, _argument: object) -> None:
        nonlocal left
        if event in {"call", "c_return"}:
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(hook)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False
