"""What a failure means at the command line: an exit code and one line."""

from __future__ import annotations

import errno

from edgecls.errors import EdgeclsError, OutputError, RemoteError

_INTERRUPTED = 130  # what shells report for SIGINT: 128 + 2
_OS_ERRORS = {
    errno.ENOSPC: ("room on the disk", "free some space or choose another place"),
    errno.EDQUOT: ("room within the disk quota", "free some space or choose another place"),
    errno.EACCES: ("a place this user may use", "change its permissions or choose another place"),
    errno.EPERM: ("a place this user may use", "change its permissions or choose another place"),
    errno.EROFS: ("a place that can be written", "choose a place that is not read-only"),
    errno.ENAMETOOLONG: ("a path the file system can hold", "choose a shorter name"),
}


def exit_code_for(error: BaseException) -> tuple[int | None, str]:
    """(exit code, the line for stderr); (None, "") for a failure that is nobody's mistake and must show its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED, "interrupted: nothing half-written was left"
    if isinstance(error, RemoteError) and error.os_error:
        error = OSError(*error.os_error)
    if isinstance(error, OSError) and error.errno in _OS_ERRORS:
        expected, remedy = _OS_ERRORS[error.errno]
        place = f"{error.filename}: " if error.filename else ""
        error = OutputError(expected, f"{place}{error.strerror}", remedy)
    if isinstance(error, EdgeclsError):
        return error.exit_code, f"error: {error}"
    return None, ""
