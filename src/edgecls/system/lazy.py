"""Lazy rooms: what a room exports is imported when it is first used, so that a command imports what it needs and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any


class _LazyRoom(ModuleType):
    """A package that finds its exports in its files.

    The import system sets each file that it has imported under the file's name, which may be that of what the file exports (`bench`):
    such a name stays what is exported.
    """

    def __getattr__(self, name: str) -> Any:
        file = self.__dict__["_files"].get(name)
        if file is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{self.__name__}.{file}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in self.__dict__.get("_files", ()) and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def export_lazily(room: str, exports: Mapping[str, Sequence[str]]) -> list[str]:
    """Make a package lazy; its `__all__`.

    Args:
        room: `__name__` of the package, which is being imported.
        exports: file of the package -> what of it the package exports.
    """
    package = sys.modules[room]
    files = {name: file for file, names in exports.items() for name in names}
    package.__dict__["_files"] = files
    package.__class__ = _LazyRoom
    return sorted(files)
