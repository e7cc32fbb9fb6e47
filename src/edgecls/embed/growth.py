"""Growth: the bytes that an app grows by, on the device and on the way to it."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecls.formats.files import members

_ENTRY = 30 + 46  # bytes of a zip's two headers of a file, its name aside, which stands in both
_ALIGNED = 4  # an Android app's package begins what it stores at a multiple of this


@dataclass(frozen=True)
class Growth:
    """How much larger an app becomes.

    Attributes:
        package_bytes: of the app's package, where some files are stored as they are; of the files themselves on platforms without one.
        download_bytes: after deflate, as stores and servers deliver it.
        golden_bytes: what the golden set takes of `package_bytes`.
    """

    package_bytes: int
    download_bytes: int
    golden_bytes: int


def growth_of(files: Sequence[tuple[Path, str]], stored: Collection[str], golden: Collection[str]) -> Growth:
    """What files add to an app.

    Args:
        files: (file or package, its path in the app).
        stored: suffixes of files that the package holds as they are, and deflates all others; empty: there is no package.
        golden: paths of the golden set.
    """
    package = download = of_golden = 0
    for file, path in files:
        for member in members(file):
            name = path if member == file else f"{path}/{member.relative_to(file).as_posix()}"
            size, deflated = member.stat().st_size, _deflated(member)
            held = _held(name, size, deflated, stored) if stored else size
            package += held
            download += deflated
            of_golden += held if path in golden else 0
    return Growth(package, download, of_golden)


def _held(name: str, size: int, deflated: int, stored: Collection[str]) -> int:
    """Bytes of a file in a zip."""
    headers = _ENTRY + 2 * len(name.encode())
    return headers + (size + _ALIGNED // 2 if Path(name).suffix.lower() in stored else deflated)


def _deflated(path: Path) -> int:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(deflate.compress(path.read_bytes())) + len(deflate.flush())
