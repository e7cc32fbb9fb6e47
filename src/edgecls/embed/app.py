"""App: a project of one platform, found by its files, and where in it things go."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecls.records.app_contract import AppContract
from edgecls.records.artifact import Target


@dataclass(frozen=True)
class App:
    """A project that something is put into.

    Attributes:
        root: its folder.
        folder: where the contract, the artifacts and the golden set go, below the root, divided by slashes.
        packed: what that folder is called in the app's package.
        code: where the file of constants goes; empty where no place is known.
        namespace: the package or module that the constants belong to; empty where the language needs none.
        stored: suffixes of files that the app's package holds as they are; it deflates all others.
        next_step: what is to be done now, one sentence.
    """

    root: Path
    folder: str
    packed: str
    code: str = ""
    namespace: str = ""
    stored: frozenset[str] = frozenset()
    next_step: str = ""


@dataclass(frozen=True)
class Platform:
    """What kind of apps there are, and what they take.

    Attributes:
        name: as `--platform` has it.
        app: what such a project is called.
        signs: what it is found by, in words.
        targets: formats that it runs, the one to prefer first.
        why_not: of the other formats, what to do about them.
        find: the app in a folder; None where it has no sign of one. Raises InputError where it has, and the layout is not known.
        constants: the source of the file of constants.
    """

    name: str
    app: str
    signs: str
    targets: tuple[Target, ...]
    why_not: str
    find: Callable[[Path], App | None]
    constants: Callable[[App, AppContract], str]


def read_source(path: Path) -> str:
    """A file of a project as text without comments; empty where it is not there or no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", text, flags=re.DOTALL)
