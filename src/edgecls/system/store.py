"""Store: a folder on disk that is changed only by finished files, all that belong together in one step.

Work happens in a hidden folder inside it, on the same file system whatever is mounted there. A change of several files is written down in a
journal there before the first of them is moved; from then on it is finished, by whoever next opens the folder if this process is killed.
Until then nothing has changed. Programs that know nothing of the journal see finished files alone, each the old or the new one, and the
file that tells of the others last; a package that is replaced is away between two renames.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from edgecls.errors import OutputError
from edgecls.system.lock import Lock, try_lock
from edgecls.system.private_folder import PrivateFolder, sweep

_PREFIX, _JOURNAL, _NEW, _OLD = ".edgecls-", "journal.json", "new", "old"
_LOCK_NAME = ".edgecls.system.lock"
_LOCK_TIMEOUT_S, _LOCK_PAUSE_S = 60.0, 0.01  # a change takes milliseconds
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_REMEDY = "make room and permission there, or choose another folder"


def is_plain(name: str) -> bool:
    """Whether a name is one of a file alone, without a folder, on every system."""
    return PureWindowsPath(name).name == name and name not in ("", ".", "..")


def _plain(name: str) -> str:
    if not is_plain(name):
        raise ValueError(f"a name without a folder is expected, found {name!r}")
    return name


def _plain_parts(path: str) -> str:
    for name in path.split("/"):
        _plain(name)
    return path


PlainName = Annotated[str, AfterValidator(_plain)]  # a record from elsewhere must not lead out of its folder
PlainPath = Annotated[str, AfterValidator(_plain_parts)]  # neither must one that names files further down, divided by slashes


class _Journal(BaseModel):
    """What a change moves into its folder, in this order, and what it then removes."""

    model_config = ConfigDict(extra="forbid")

    put: list[PlainPath]
    remove: list[PlainPath]


class Change:
    """What is to happen to a folder, all of it together: see `changing`. Names may lead further down (`a/b.txt`), on the same disk."""

    def __init__(self, staged: Path) -> None:
        self._new = staged / _NEW
        self._new.mkdir()
        self._put: list[str] = []
        self._remove: list[str] = []

    def put(self, path: Path, name: str) -> None:
        """A finished file or package takes the place `name`, with whatever was there."""
        (self._new / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(self._new / name)
        self._put.append(name)

    def write(self, name: str, text: str) -> None:
        """A text file takes the place `name`."""
        (self._new / name).write_text(text, encoding="utf-8")
        self._put.append(name)

    def remove(self, names: Sequence[str]) -> None:
        """These go, if they are there."""
        self._remove += names

    def to_json(self) -> str:
        """The journal."""
        return _Journal(put=self._put, remove=[name for name in self._remove if name not in self._put]).model_dump_json()


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A private folder within `folder`, which is made if need be; removed at the end.

    Raises:
        OutputError: it cannot be made, or there is no room to write.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError("a folder to write to", f"{folder}, which is a file", _REMEDY)
    is_new = not folder.exists()
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            own = _private(folder)
        except OSError as error:
            raise OutputError("a folder that can be written", f"{folder}: {error.strerror}", _REMEDY) from None
        try:
            yield own.path
        except OSError as error:  # a full disk shows only while writing
            if error.errno in _FULL or (error.errno in _FORBIDDEN and str(folder) in str(error.filename)):
                raise OutputError("space and permission to write", f"{folder}: {error.strerror}", _REMEDY) from error
            raise
        finally:
            _leave_or_close(own)
    finally:
        if is_new:  # a failed run leaves no folder of its own
            _remove_empty(folder)


@contextmanager
def changing(folder: Path, staged: Path) -> Iterator[Change]:
    """Change several files of a folder in one step at the end of the `with` block; nothing changes if that raises.

    Nobody else changes the folder meanwhile: what the block reads there is what it replaces.

    Args:
        staged: the private folder of `staging(folder)`, which holds what is put in place.

    Raises:
        OutputError: another process does not come to an end with its change.
    """
    lock = _wait_for(folder)
    try:
        _finish_all(folder)
        change = Change(staged)
        yield change
        written = staged / f"{_JOURNAL}.partial"
        written.write_text(change.to_json(), encoding="utf-8")
        written.rename(staged / _JOURNAL)
        _finish(folder, staged)
    finally:
        lock.release()


def settle(folder: Path) -> None:
    """Finish what a killed process had begun to put in place. Whoever reads a folder calls this first.

    Raises:
        OutputError: the folder cannot be written.
    """
    if not _journals(folder):
        return
    try:
        lock = _wait_for(folder)
        try:
            _finish_all(folder)
        finally:
            lock.release()
    except OSError as error:
        raise OutputError(
            "a folder whose last change is finished",
            f"{folder}, where a process was killed in the middle of one: {error.strerror}",
            "open it where it can be written",
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write a file to, which then becomes `path` in one step; where writing fails nothing changes.

    Raises:
        OSError: the folder of `path` cannot be written.
    """
    own = _private(path.parent)
    try:
        yield own.path / path.name
        (own.path / path.name).replace(path)
    finally:
        own.close()


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step.

    Raises:
        OutputError: the place cannot be written.
    """
    try:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError("a place that can be written", f"{path}: {error.strerror}", _REMEDY) from None


def require_place(path: Path, what: str, name: str) -> None:
    """Tell of a place that cannot take a file before the work starts, not after; makes its folder.

    Args:
        what: the file is for.
        name: of such a file in a folder, for the remedy.

    Raises:
        OutputError: it cannot.
    """
    if path.is_dir():
        raise OutputError(f"a file for {what}", f"{path}, which is a folder", f"write -o {path / name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"a place for {what}", f"{path}: {error.strerror}", "choose another with -o") from None


def _private(folder: Path) -> PrivateFolder:
    settle(folder)
    sweep(folder, _PREFIX, keep=_has_journal)  # another process may be about to finish its change
    # Whoever may change the folder may finish a change.
    return PrivateFolder(folder, _PREFIX, mode=stat.S_IMODE(folder.stat().st_mode))


def _leave_or_close(own: PrivateFolder) -> None:
    """What is written down is finished by whoever comes next; all else goes."""
    own.leave() if _has_journal(own.path) else own.close()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _wait_for(folder: Path) -> Lock:
    """The lock on changes of a folder."""
    end = time.monotonic() + _LOCK_TIMEOUT_S
    while time.monotonic() < end:
        if lock := try_lock(folder / _LOCK_NAME):
            return lock
        time.sleep(_LOCK_PAUSE_S)
    raise OutputError("a folder that no other process is changing", str(folder), "wait until that process ends, or end it")


def _has_journal(staged: Path) -> bool:
    return (staged / _JOURNAL).is_file()


def _journals(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"{_PREFIX}*/{_JOURNAL}") if not path.parent.is_symlink())


def _finish_all(folder: Path) -> None:
    """Finish the changes of dead processes; the caller holds the lock, so that none is a living one's."""
    for staged in _journals(folder):
        _finish(folder, staged)
    sweep(folder, _PREFIX)


def _finish(folder: Path, staged: Path) -> None:
    """Do what a journal says and is not done yet. A kill at any point of this leaves what the next one finishes."""
    try:
        journal = _Journal.model_validate_json((staged / _JOURNAL).read_bytes())
    except ValidationError as error:
        raise OutputError(
            "a journal that edgecls wrote", f"{staged / _JOURNAL}: {error.errors()[0]['msg']}", f"remove {staged}"
        ) from None
    for name in (*journal.put, *journal.remove):
        _require_inside(folder, name)
        _require_inside(staged / _NEW, name)
    (staged / _OLD).mkdir(exist_ok=True)
    for name in journal.put:
        new, place = staged / _NEW / name, folder / name
        if not os.path.lexists(new):
            continue  # done before a kill
        if new.is_dir() or place.is_dir():
            _put_aside(folder, name, staged)
        place.parent.mkdir(parents=True, exist_ok=True)
        new.replace(place)
    for name in journal.remove:
        _put_aside(folder, name, staged)
    (staged / _JOURNAL).unlink()


def _require_inside(folder: Path, name: str) -> None:
    """Refuse a path that a link leads elsewhere."""
    linked = [parent for parent in (folder / name).parents if folder in parent.parents and parent.is_symlink()]
    if linked:
        raise OutputError(
            "folders without links on the way to what is written", f"the link {linked[-1]}", "replace it by a folder"
        )


def _put_aside(folder: Path, name: str, staged: Path) -> None:
    old = staged / _OLD / name
    old.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        (folder / name).rename(old)
