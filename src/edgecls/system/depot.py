"""Depot: a folder on another machine that keeps artifacts and images by their contents, so that each goes over once.

These functions run there, in a worker. What arrives is written aside and renamed when it is complete: half a file is never taken
for a whole one. What no run has used for a week is removed by the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

KEPT_DAYS = 7
_PARTIAL = "partial-"
_DAY_S = 86400.0


def find(key: str, name: str) -> str | None:
    """Where a file or package of this content and name lies; None where it does not.

    Args:
        key: hash of the content.
    """
    place = _folder() / key
    if not (place / name).exists():
        return None
    os.utime(place)
    return str(place / name)


def begin() -> str:
    """A new folder for what is to arrive; also removes what has been there for long."""
    folder = _folder()
    folder.mkdir(0o700, parents=True, exist_ok=True)  # images may be private
    for item in folder.iterdir():
        days = 1 if item.name.startswith(_PARTIAL) else KEPT_DAYS
        with contextlib.suppress(OSError):  # another run was faster
            if time.time() - item.stat().st_mtime > days * _DAY_S:
                shutil.rmtree(item, ignore_errors=True)
    return tempfile.mkdtemp(prefix=_PARTIAL, dir=folder)


def append(partial: str, member: str, content: bytes) -> None:
    """Write on at the end of a file that arrives in pieces.

    Args:
        member: its path below the folder, with slashes.
    """
    path = Path(partial, member)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(content)


def finish(partial: str, key: str, name: str) -> str:
    """Take what has arrived for whole; where it lies now."""
    place = _folder() / key
    for item in Path(partial).rglob("*"):
        if item.is_file():
            with item.open("rb+") as stream:
                os.fsync(stream.fileno())  # the name must not outlive a power cut that the content does not
    place.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):  # another run has brought the same meanwhile
        Path(partial, name).rename(place / name)
    shutil.rmtree(partial, ignore_errors=True)
    return str(place / name)


def to_path(text: str) -> Path:
    """A path of this machine: as an object it could not come from another kind of machine, or another Python."""
    return Path(text)


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecls" / "depot"
