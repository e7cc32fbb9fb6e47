"""Store: an artifacts folder on disk, changed only by finished files.

Work happens in a hidden folder inside it, on the same file system whatever is mounted there. Finished files are renamed into place
together at the end, the manifest last. What is killed leaves the files as they were, and its leftovers are swept by the next run.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecls.artifact import MANIFEST_NAME, Manifest
from edgecls.errors import OutputError

_PARTIAL, _PREVIOUS = ".partial-", ".previous"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_REMEDY = "choose a writable folder with free space with -o"


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A private folder within `folder`, which is made if need be; removed at the end.

    Raises:
        OutputError: it cannot be made, or there is no room to write.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError("a folder to write to", f"{folder}, which is a file", _REMEDY)
    is_ours = not folder.exists()
    staged = folder / f"{_PARTIAL}{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        staged.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError("a folder that can be written", f"{folder}: {error.strerror}", _REMEDY) from None
    try:
        yield staged
    except OSError as error:  # a full disk shows only while writing
        if error.errno in _FULL or (error.errno in _FORBIDDEN and str(folder) in str(error.filename)):
            raise OutputError("space and permission to write", f"{folder}: {error.strerror}", _REMEDY) from error
        raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if is_ours:
            with suppress(OSError):
                folder.rmdir()  # only if empty: a failed run leaves no folder of its own


def publish(staged: Path, target: Path) -> None:
    """Move a finished file or package into place; what was there is replaced in one step (a package: in two renames)."""
    previous = target.with_name(f".{target.name}{_PREVIOUS}")
    if target.is_dir():
        shutil.rmtree(previous, ignore_errors=True)
        target.rename(previous)
    staged.replace(target)
    shutil.rmtree(previous, ignore_errors=True)


def remove(paths: Sequence[Path]) -> None:
    """Remove artifacts, files and packages alike; those that are not there are passed over."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


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
        with suppress(OSError):
            partial.unlink()  # on a read-only disk this fails as well
        raise OutputError("a place that can be written", f"{path}: {error.strerror}", _REMEDY) from None


def _sweep(folder: Path) -> None:
    """Remove what killed runs left behind, and put back a package they had moved away."""
    for item in folder.iterdir():
        if item.name.startswith(_PARTIAL) and not _is_alive(item.name.removeprefix(_PARTIAL)):
            shutil.rmtree(item, ignore_errors=True)
        if item.name.startswith(".") and item.name.endswith(_PREVIOUS):
            target = folder / item.name.removeprefix(".").removesuffix(_PREVIOUS)
            remove([item]) if target.exists() else item.rename(target)


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
