"""Images as records tell of them: by what they hold, and by where they are."""

from __future__ import annotations

from pathlib import Path

from edgecls.data.digits import DIGITS_NAME, are_digits
from edgecls.formats import sha256


def content_hash(path: Path) -> str:
    """Hash of images by their content, of a CSV with the folder its images lie in; the bundled digits never change."""
    return DIGITS_NAME if are_digits(path) else sha256(path.parent if path.suffix.casefold() == ".csv" else path)


def remembered(path: Path) -> str:
    """How a record names images: by absolute path, the bundled digits by their name."""
    return DIGITS_NAME if are_digits(path) else str(path.absolute())
