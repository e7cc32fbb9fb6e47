"""Reads HDF5 files once in a process apart: on some damaged ones its library, which is native code, hangs or dies."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgecls.errors import ModelFileError, WorkerError
from edgecls.models.h5_reach import reaches
from edgecls.system.extras import require
from edgecls.system.spare import take_worker
from edgecls.system.worker import Worker, preload

# what h5py raises on damaged files, wherever it follows a link, reads a name or makes a type of one
H5_ERRORS = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
_START_S = 600.0  # for a process to start and import where many others want the processor; sound files take milliseconds then
_LEAST_S, _BYTES_PER_S = 60.0, 5e6
_survived: set[tuple[object, ...]] = (
    set()
)  # files that were read, as they were then: a conversion looks into its model several times


def try_reading(path: Path, member: str = "") -> None:
    """Survive the reading of an HDF5 file, or of a member of an archive. Errors that h5py raises are left to who reads it next.

    Raises:
        ModelFileError: the library hung or died.
    """
    state = path.stat()
    contents = (path.absolute(), member, state.st_ino, state.st_size, state.st_mtime_ns)
    if contents in _survived:
        return
    if _worker().has_ended:
        _worker.cache_clear()
    worker = _worker()
    try:
        worker.wait(worker.start(read_all, path, member), _LEAST_S + state.st_size / _BYTES_PER_S)
    except WorkerError:
        raise ModelFileError(
            "a whole HDF5 file", f"{path}, on which the HDF5 library hangs or dies", "copy or download it again"
        ) from None
    _survived.add(contents)


@functools.cache
def _worker() -> Worker:
    """One for all files of this process: starting it takes longer than reading them."""
    worker = take_worker()
    atexit.register(worker.close)
    worker.greet(_START_S)
    worker.wait(worker.start(preload, ["h5py", __name__]), _START_S)
    return worker


def read_all(path: Path, member: str) -> None:
    """Read every attribute and all data of an HDF5 file that reaches no other one."""
    h5py = require("h5py")
    with contextlib.ExitStack() as stack, contextlib.suppress(*H5_ERRORS):
        source = stack.enter_context(open_member(stack.enter_context(zipfile.ZipFile(path)), member)) if member else path
        file = stack.enter_context(h5py.File(source, "r"))
        if any(reaches(file)):
            return
        for item in _items(file):
            for name in item.attrs:
                with contextlib.suppress(*H5_ERRORS):
                    item.attrs[name]
            if isinstance(item, h5py.Dataset):
                with contextlib.suppress(*H5_ERRORS):
                    _read_data(item, path.stat().st_size)


def open_member(archive: zipfile.ZipFile, member: str) -> IO[bytes]:
    """A member to read at will. One that is stored as it is, which cannot be longer than its archive, is taken into memory: zipfile
    reads all that lies between two places, and computes its checksum."""
    if archive.getinfo(member).compress_type != zipfile.ZIP_STORED:
        return archive.open(member)
    return io.BytesIO(archive.read(member))


def _items(file: Any) -> Iterator[Any]:
    h5py = require("h5py")
    pending, seen = [file], set()
    while pending:
        item = pending.pop()
        yield item
        for name in item if isinstance(item, h5py.Group) else ():
            with contextlib.suppress(*H5_ERRORS):
                inner = item[name]
                address = h5py.h5o.get_info(inner.id).addr
                if address not in seen:  # groups may contain themselves
                    seen.add(address)
                    pending.append(inner)


def _read_data(item: Any, most_bytes: int) -> None:
    """A piece at a time where it is compressed; never more than the file can hold."""
    if item.chunks:
        for piece in item.iter_chunks():
            item[piece]
    elif item.nbytes <= most_bytes:
        item[()]
