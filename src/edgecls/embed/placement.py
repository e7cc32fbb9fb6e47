"""Placement: finished files go into an app in one step, in the place of what an earlier call put there, and of nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from edgecls.errors import ArtifactError, OutputError
from edgecls.formats import sha256
from edgecls.records.embedding import EMBEDDING_NAME, Embedding
from edgecls.system.store import changing
from edgecls.version import __version__

_FOLDERS_UP = (
    3  # at most so many levels of folders that only embedded files were in: `edgecls/golden`, and what was made for them
)


def place_files(root: Path, staged: Path, files: Sequence[tuple[Path, str]], platform: str) -> list[str]:
    """Put files into an app, and take out what an earlier call put there and is not among them.

    Args:
        root: of the app.
        staged: the private folder of `staging(root)`, which holds them.
        files: (finished file or package, its path below the root).

    Returns:
        The paths of what was taken out.

    Raises:
        OutputError: a file that someone else wrote or changed is in the way, or a folder cannot be written; nothing has changed then.
    """
    before = Embedding.read(root)
    ours = before.files if before else {}
    _require_unchanged(root, ours)
    for _, path in files:
        _require_place(root, path, ours)
    after = Embedding(platform=platform, edgecls_version=__version__, files={path: sha256(file) for file, path in files})
    gone = [path for path in ours if path not in after.files]
    with changing(root, staged) as change:
        for file, path in files:
            change.put(file, path)
        change.write(EMBEDDING_NAME, after.to_json())
        change.remove(gone)
    _remove_empty_folders(root, gone)
    return gone


def remove_files(root: Path, staged: Path) -> list[str]:
    """Take out of an app what was embedded; the paths of what is gone.

    Raises:
        OutputError: nothing was embedded, or someone changed a file since.
    """
    before = Embedding.read(root)
    if before is None:
        raise OutputError(
            "an app that something was embedded into", f"{root} without {EMBEDDING_NAME}", "name its folder with --into"
        )
    _require_unchanged(root, before.files)
    with changing(root, staged) as change:
        change.remove([*before.files, EMBEDDING_NAME])
    _remove_empty_folders(root, before.files)
    return list(before.files)


def _require_unchanged(root: Path, files: dict[str, str]) -> None:
    """Refuse to replace or remove what someone edited since it was embedded. What was removed by hand is no loss."""
    for path, expected in files.items():
        with suppress(ArtifactError):  # it is gone, or an empty folder is left of it
            if sha256(root / path) != expected:
                remedy = "move it elsewhere, or remove it, and try again"
                raise OutputError("files as they were embedded", f"{root / path}, edited since", remedy)


def _require_place(root: Path, path: str, ours: dict[str, str]) -> None:
    place = root / path
    if os.path.lexists(place) and path not in ours:
        raise OutputError("a place for what is embedded", f"{place}, which was not put there by edgecls", "move it elsewhere")
    linked = next((parent for parent in place.parents if root in parent.parents and parent.is_symlink()), None)
    if linked:
        raise OutputError("folders without links on the way to what is embedded", f"the link {linked}", "replace it by a folder")
    folder = next(parent for parent in place.parents if parent.exists())
    if not folder.is_dir():
        raise OutputError("a folder to write to", f"{folder}, which is a file", "move it elsewhere")
    if not os.access(folder, os.W_OK):
        raise OutputError("a folder that can be written", f"{folder}, which is read-only", "make it writable")
    if folder.stat().st_dev != root.stat().st_dev:
        raise OutputError("an app on one file system", f"{folder}, on another than {root}", "copy the project to one")


def _remove_empty_folders(root: Path, gone: Iterable[str]) -> None:
    """Folders that held what is gone, and nothing else."""
    folders = {parent for path in gone for parent in list((root / path).parents)[:_FOLDERS_UP] if root in parent.parents}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        with suppress(OSError):
            folder.rmdir()
