"""Parcel: a file or folder on its way to a worker of a cluster, without its content where the worker may have it already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgecls.formats import sha256
from edgecls.formats.files import members


@dataclass(frozen=True)
class Parcel:
    """A file or folder on its way.

    Attributes:
        name: its own.
        place: where it lies on the machine that sends it; a text, since a path of one Python cannot be read by every other.
        files: path below it (empty for a single file) -> content; None while the worker may have it.
    """

    name: str
    place: str
    sha256: str
    files: dict[str, bytes] | None = None

    @classmethod
    def of(cls, path: Path) -> Parcel:
        """Without its content."""
        return cls(path.name, str(path), sha256(path))

    @property
    def path(self) -> Path:
        """Where it lies on the machine that sends it."""
        return Path(self.place)

    def filled(self) -> Parcel:
        """The same with its content."""
        files = {"" if item == self.path else item.relative_to(self.path).as_posix(): item for item in members(self.path)}
        return replace(self, files={name: item.read_bytes() for name, item in files.items()})

    def unpack(self, folder: Path) -> Path:
        """Write the content into a folder, under its own name; where that is."""
        place = folder / self.name
        for name, content in (self.files or {}).items():
            target = place / name if name else place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return place
