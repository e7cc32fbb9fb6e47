"""PrivateFolder: a folder that one process works in. What dead processes left of theirs is swept, what living ones have is left alone."""

from __future__ import annotations

import functools
import os
import shutil
import stat
import sys
import tempfile
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edgecls.system.lock import Lock, try_lock

_LOCK_NAME = "lock"
_TEMPORARY = "edgecls-work-"


class PrivateFolder:
    """A new folder of a name that nobody else has, locked as long as it lives; gone when it is closed or forgotten.

    Args:
        mode: who may do what there, whatever the umask.

    Attributes:
        path: the folder; the file `lock` in it tells others that its process lives.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, parent: Path, prefix: str, mode: int = 0o700) -> None:
        lock = None
        while lock is None:
            self.path = parent / f"{prefix}{uuid.uuid4().hex}"  # known before it is there: Ctrl-C may come as soon as it is
            try:
                self.path.mkdir(mode=0o700)
                with suppress(FileNotFoundError):  # swept before it was locked
                    self.path.chmod(mode)
                    lock = try_lock(self.path / _LOCK_NAME)
                if lock is not None:
                    self._lock, self._remover = lock, weakref.finalize(self, _remove, self.path, lock)
            except BaseException:
                if lock is not None:
                    lock.release()
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        self._remover()

    def leave(self) -> None:
        """Let go of the folder and leave it where it is."""
        if self._remover.detach():
            self._lock.release()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def temporary_folder() -> PrivateFolder:
    """A private folder where the system has its temporary files.

    Raises:
        OSError: it cannot be made.
    """
    parent = tempfile.gettempdir()
    _sweep_once(parent)
    return PrivateFolder(Path(parent), _TEMPORARY)


def sweep(parent: Path, prefix: str, keep: Callable[[Path], bool] = lambda path: False) -> None:
    """Remove this user's private folders whose process is gone, but those to `keep`."""
    for path in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another process was faster
            lock = try_lock(path / _LOCK_NAME) if _is_own_folder(path) else None
            if lock is None:
                continue
            if lock.is_exclusive and not keep(path):
                _remove(path, lock)
            else:
                lock.release()


@functools.cache
def _sweep_once(parent: str) -> None:
    sweep(Path(parent), _TEMPORARY)


def _remove(path: Path, lock: Lock) -> None:
    """The folder itself goes only if it is empty: once the lock is released, its maker may just be locking it."""
    with suppress(OSError):
        for item in path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            elif item.name != _LOCK_NAME:
                item.unlink()
    lock.release()
    with suppress(OSError):
        path.rmdir()


def _is_own_folder(path: Path) -> bool:
    """Whether a name stands for a folder of this user: nobody else can put a link in its place meanwhile."""
    info = path.lstat()
    return stat.S_ISDIR(info.st_mode) and (sys.platform == "win32" or info.st_uid == os.getuid())
