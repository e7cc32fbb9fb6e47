"""What the readers of all formats share: a file's bytes, mapped, and the one error for a file that is not sound."""

from __future__ import annotations

import mmap
from pathlib import Path

from edgecls.errors import ArtifactError
from edgecls.records.artifact import FORMATS, Target


class DamagedError(ValueError):
    """The bytes are not sound; the message says where."""


def mapped(path: Path) -> memoryview:
    """The file's bytes, read from disk as they are touched; closed with the last view into them.

    Raises:
        ArtifactError: missing, empty or not readable.
    """
    try:
        with path.open("rb") as stream:
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise ArtifactError("a readable file", f"{path}: {error}", "check that it is complete and readable") from None


def damaged(path: Path, target: Target, error: Exception) -> ArtifactError:
    """The error for a file of a format that is not sound."""
    return ArtifactError(
        f"a sound {FORMATS[target]} file", f"{path}: {error}", "it is damaged or cut short: copy it or convert it again"
    )
