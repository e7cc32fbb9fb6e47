"""What images hold, as a hash: whether they are still those that something was made of."""

from __future__ import annotations

from pathlib import Path

from edgecls.data.digits import DIGITS_NAME
from edgecls.formats import sha256


def content_hash(path: Path) -> str:
    """Hash of images by their content, of a CSV with the folder its images lie in; the bundled digits never change."""
    if str(path) == DIGITS_NAME and not path.exists():
        return DIGITS_NAME
    return sha256(path.parent if path.suffix.casefold() == ".csv" else path)
