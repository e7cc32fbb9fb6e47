"""Lock: a lock of the operating system on a file. It is gone with the process that holds it, however that ended and in whichever
container it ran."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a stranger's link must not lead elsewhere
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # as on some network file systems


class Lock:
    """A lock that this process holds.

    Attributes:
        is_exclusive: False on a file system without locks, where nobody is kept out and nothing is known of others.
    """

    def __init__(self, path: Path, descriptor: int, *, is_exclusive: bool) -> None:
        self._path, self._descriptor, self.is_exclusive = path, descriptor, is_exclusive

    def release(self) -> None:
        """Let others have it, and remove its file; once."""
        if sys.platform != "win32":
            with suppress(OSError):
                self._path.unlink()  # while it is held: afterwards it might be the next one's
        os.close(self._descriptor)
        if sys.platform == "win32":
            with suppress(OSError):
                self._path.unlink()  # an open file cannot be removed: that of the next one stays


def try_lock(path: Path) -> Lock | None:
    """Take the lock on a file, which is made if need be; None where another process, or another part of this one, has it.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
    try:
        _take(descriptor)
        is_exclusive = True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            if error.errno in _TAKEN:
                return None
            raise
        is_exclusive = False
    if not _is_still_there(path, descriptor):  # who held it has removed it meanwhile
        os.close(descriptor)
        return None
    return Lock(path, descriptor, is_exclusive=is_exclusive)


def _take(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
