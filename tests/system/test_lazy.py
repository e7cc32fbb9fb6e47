"""A lazy room imports what it exports when it is used, and a file's name stays what it exports."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_ROOM = """
from edgecls.system.lazy import export_lazily
__all__ = export_lazily(__name__, {"paint": ("paint", "Colour"), "wall": ("wall",)})
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of two files, one of which exports a function of its own name."""
    folder = tmp_path / "room_of_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text(_ROOM, encoding="utf-8")
    (folder / "paint.py").write_text("def paint(): return 'painted'\nclass Colour: pass\n", encoding="utf-8")
    (folder / "wall.py").write_text("wall = 'a wall'\nother = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:  # of the test before
        del sys.modules[name]
    return folder.name


def test_a_file_is_imported_when_something_of_it_is_used(room: str):
    package: Any = importlib.import_module(room)
    assert f"{room}.paint" not in sys.modules
    assert package.paint() == "painted"
    assert f"{room}.paint" in sys.modules and f"{room}.wall" not in sys.modules


def test_the_name_of_a_file_is_what_it_exports_however_it_was_imported(room: str):
    file: Any = importlib.import_module(f"{room}.paint")
    package: Any = importlib.import_module(room)
    assert isinstance(file, ModuleType)
    assert package.paint is file.paint
    importlib.import_module(f"{room}.wall")
    assert package.wall == "a wall"


def test_all_of_it_and_nothing_else(room: str):
    package: Any = importlib.import_module(room)
    assert sorted(package.__all__) == ["Colour", "paint", "wall"]
    names: dict[str, Any] = {}
    exec(f"from {room} import *", names)
    assert names["paint"]() == "painted" and names["wall"] == "a wall"
    with pytest.raises(AttributeError, match="other"):
        _ = package.other


@pytest.mark.parametrize("room", ["edgecls.workflow", "edgecls.reporting"])
def test_every_export_is_there(room: str):
    package = importlib.import_module(room)
    for name in package.__all__:
        assert not isinstance(getattr(package, name), ModuleType), name
