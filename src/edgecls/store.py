"""Store: an artifacts folder on disk, changed only by finished files.

Work happens in a hidden sibling; finished files are renamed into place and the manifest last. What is killed leaves the folder as it
was, and a leftover sibling is swept by the next run.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecls.artifact import MANIFEST_NAME, Manifest
from edgecls.errors import OutputError

_PLACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_REMEDY = "choose a writable folder with free space with -o"


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A private folder beside `folder`, on the same file system; removed at the end.

    Raises:
        OutputError: it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError("a folder to write to", f"{folder}, which is a file", _REMEDY)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_writable(folder)
        _sweep(folder)
        staged = folder.parent / f".{folder.name}.partial-{os.getpid()}"
        staged.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError("a folder that can be written", f"{folder}: {error.strerror}", _REMEDY) from None
    try:
        yield staged
    except OSError as error:  # a full disk shows only while writing
        if error.errno not in _PLACE_ERRORS:
            raise
        raise OutputError("space and permission to write", f"{folder}: {error.strerror}", _REMEDY) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()  # a failed run leaves no empty folder


def publish(staged: Path, target: Path) -> None:
    """Move a finished file or package into place; what was there is replaced in one step (a package: in two renames)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if staged.is_dir() and target.exists():
        previous = staged.with_name(f"{staged.name}.previous")
        target.rename(previous)
    staged.replace(target)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` in one step."""
    write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step.

    Raises:
        OutputError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError("a place that can be written", f"{path}: {error.strerror}", _REMEDY) from None


def _require_writable(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def _sweep(folder: Path) -> None:
    """Remove what killed runs left behind."""
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        if not _is_alive(leftover.name.rpartition("-")[2]):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
