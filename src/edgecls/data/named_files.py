"""NamedFiles: the images that a table beside them names, however it does."""

from __future__ import annotations

import collections
import os
from functools import cached_property
from pathlib import Path

from edgecls.data.decode import SUFFIXES
from edgecls.data.folders import images_below
from edgecls.errors import DataError

_UNUSABLE = "\0"  # no system has it in a path


class NamedFiles:
    """Images in and below the folder of a table.

    A name is a path from that folder on, with slashes of either kind. A name without a folder also stands for the only image below that is
    called so, and one without a suffix for the only image that differs in its suffix alone, as competitions name their images.

    Attributes:
        note: how images were found that do not lie where they are said to; empty where there are none.
    """

    def __init__(self, table: Path) -> None:
        self._table, self._folder = table, Path(os.path.normpath(table.parent.absolute()))
        self._sought: dict[str, Path | None] = {}

    @property
    def note(self) -> str:
        return "images found by their names below its folder" if any(self._sought.values()) else ""

    def lies(self, name: str) -> bool:
        """Whether an image of the folder lies at this path."""
        return self._at(name) is not None

    def has(self, name: str) -> bool:
        """Whether this name stands for an image."""
        return self.lies(name) or self._seek(name) is not None

    def find(self, name: str) -> Path:
        """The image of this name; where there is none, the path at which it should lie.

        Raises:
            DataError: a path to elsewhere. What lies there is no part of the data that the table's folder holds.
        """
        file = self._at(name) or self._seek(name) or self._inside(name)
        if file is None:
            raise DataError(
                "images in the folder of the CSV",
                f"{self._table}: {name!r}",
                "put the CSV above the images, and let it name them from its folder on",
            )
        return file

    def _at(self, name: str) -> Path | None:
        for written in (name, name.replace("\\", "/")):
            file = self._inside(written)
            if file is not None and os.path.isfile(file):  # noqa: PTH113 - Path's raises where a name is too long or a folder closed
                return file
        return None

    def _inside(self, name: str) -> Path | None:
        file = Path(os.path.normpath(self._folder / name))
        return file if name and _UNUSABLE not in name and file.is_relative_to(self._folder) else None

    def _seek(self, name: str) -> Path | None:
        """Below the folder, or beside the place of a name without a suffix."""
        if name not in self._sought:
            place = Path(name.replace("\\", "/"))
            if Path(place.name).suffix.casefold() not in SUFFIXES:
                found = [file for file in self._below[place.name] if file.stem == place.name]
                if place.name != str(place):
                    found = [file for file in found if file.parent == self._folder / place.parent]
            else:
                found = self._below[place.name] if place.name == str(place) else []
            self._sought[name] = found[0] if len(found) == 1 else None
        return self._sought[name]

    @cached_property
    def _below(self) -> dict[str, list[Path]]:
        """Images by their name, with and without suffix, in folders that can be read."""
        files: dict[str, list[Path]] = collections.defaultdict(list)
        for file in images_below(self._folder, skip_closed=True):
            files[file.name].append(file)
            files[file.stem].append(file)
        return files
