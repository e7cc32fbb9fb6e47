"""An installation of this environment's packages that has only some extras: what belongs to the others cannot be imported."""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).resolve().parents[1]

# Python imports `sitecustomize` when it starts, in worker processes too.
_SITE = """
import sys
from importlib.machinery import PathFinder

class Light(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Light
"""


def environment(folder: Path, *extras: str) -> dict[str, str]:
    """Variables for a process in which only what `pip install 'edgecls[EXTRAS]'` would bring can be imported.

    Args:
        folder: an empty one, where its start-up file is put.
    """
    present = _brought({"edgecls"}, _requirements(extras))
    absent = sorted(
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if present.isdisjoint(canonicalize_name(package) for package in packages)
    )
    assert {"tensorflow", "sklearn", "scipy"} <= set(absent)
    (folder / "sitecustomize.py").write_text(_SITE.format(absent=set(absent)), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(_ROOT / "src")])}


def _requirements(extras: Iterable[str]) -> list[str]:
    """From pyproject.toml: what is installed here may have been installed before a change of it."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]


def _brought(known: set[str], requirements: Iterable[str]) -> set[str]:
    """Names of the packages that requirements lead to."""
    for line in requirements:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name in known or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        known.add(name)
        _brought(known, importlib.metadata.requires(name) or [])
    return known
