"""Offer: the artifacts that are served together, in a private copy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgecls.errors import ArtifactError, InputError
from edgecls.formats import change_since_conversion, detect
from edgecls.records.artifact import FORMATS, MANIFEST_NAME, SUFFIXES, Artifact, Manifest, Target
from edgecls.records.image_spec import ImageSpec
from edgecls.system.private_folder import PrivateFolder, temporary_folder

_SERVED_TARGETS = ("tflite", "onnx")  # Core ML's engine is on a Mac alone, and what stands in for it is slow


@dataclass(frozen=True)
class Asked:
    """What to serve.

    Attributes:
        paths: artifacts folders, and files from elsewhere.
        artifacts: names of those to serve; none: all that passed verification.
        preprocess, fit, filter: how pictures enter files that do not say so themselves.
    """

    paths: tuple[Path, ...]
    artifacts: tuple[str, ...] = ()
    preprocess: str | None = None
    fit: str | None = None
    filter: str | None = None


@dataclass(frozen=True)
class Served:
    """One artifact of an offer.

    Attributes:
        name: which it is called by; unique in an offer.
        path: the private copy.
        spec: the images it takes; None: as the file says.
        labels: one per class; empty: as the file says.
        choices: preprocess, fit and filter of files that do not say so themselves.
    """

    name: str
    path: Path
    target: Target
    scheme: str = ""
    spec: ImageSpec | None = None
    labels: tuple[str, ...] = ()
    choices: tuple[str | None, str | None, str | None] = (None, None, None)


@dataclass(frozen=True)
class Offer:
    """Artifacts served together.

    Attributes:
        served: the first answers where none is named.
        aliases: other names by which the first answers: that of the model.
        stamp: state of the files it was copied from, as `stamp_of` finds it.
        notes: what a person should know.
    """

    served: tuple[Served, ...]
    aliases: tuple[str, ...]
    stamp: object
    notes: tuple[str, ...] = ()
    _folder: PrivateFolder | None = field(default=None, repr=False)

    @cached_property
    def names(self) -> list[str]:
        """Of the artifacts."""
        return [served.name for served in self.served]

    def resolve(self, name: str) -> str | None:
        """The artifact that a name, or none, stands for; None where nothing is called so."""
        if not name or (name in self.aliases and name not in self.names):
            return self.served[0].name
        return name if name in self.names else None

    def close(self) -> None:
        """Remove the copy."""
        if self._folder is not None:
            self._folder.close()


def read_offer(asked: Asked) -> Offer:
    """Copy what is to be served, so that nothing that happens to the folder afterwards reaches those who compute from it.

    Raises:
        InputError: nothing there that can be served, or something named is not there.
    """
    stamp = stamp_of(asked.paths)
    own = temporary_folder()
    served: list[Served] = []
    aliases: list[str] = []
    notes: list[str] = []
    try:
        for number, path in enumerate(asked.paths):
            place = own.path / str(number)
            place.mkdir()
            if path.is_dir() and (path / MANIFEST_NAME).is_file():
                manifest = Manifest.read(path)
                served += _of_folder(path, manifest, place, notes)
                aliases.append(Path(manifest.source.name).stem)
            else:
                served.append(_of_file(path, place, asked))
        chosen = _chosen(served, asked)
        return Offer(tuple(chosen), tuple(aliases), stamp, tuple(notes), own)
    except BaseException:
        own.close()
        raise


def stamp_of(paths: Sequence[Path]) -> object:
    """State of files and of the manifests and artifacts of folders: equal as long as nobody has written them."""
    files: list[Path] = []
    for path in paths:
        with suppress(OSError):  # it is being replaced, or may not be read
            files += sorted(path.iterdir()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            info = file.stat()
        except OSError:
            continue
        if file.name == MANIFEST_NAME or file.suffix in SUFFIXES.values():
            found.append((str(file), info.st_ino, info.st_size, info.st_mtime_ns))
    return tuple(found)


def _of_folder(folder: Path, manifest: Manifest, place: Path, notes: list[str]) -> list[Served]:
    found = [artifact for artifact in manifest.artifacts if artifact.status == "ok"]
    aside = sorted({FORMATS[artifact.target] for artifact in found if artifact.target not in _SERVED_TARGETS})
    if aside:
        notes.append(f"{', '.join(aside)} is not served: its engine is not that of a server")
    served = []
    for artifact in found:
        if artifact.target in _SERVED_TARGETS:
            copy = _copied(folder / artifact.path, place)
            if reason := change_since_conversion(copy, artifact):
                raise ArtifactError(
                    f"{artifact.name} as its manifest tells", f"{folder / artifact.path} {reason}", "convert again"
                )
            served.append(_served(artifact, copy, manifest))
    if not served:
        raise ArtifactError(
            "verified TFLite or ONNX artifacts",
            f"none in {folder}",
            "make some: edgecls convert MODEL --targets tflite,onnx",
        )
    return served


def _served(artifact: Artifact, copy: Path, manifest: Manifest) -> Served:
    return Served(artifact.name, copy, artifact.target, artifact.scheme, manifest.image_spec, tuple(manifest.labels))


def _of_file(path: Path, place: Path, asked: Asked) -> Served:
    target = detect(path)
    if target not in _SERVED_TARGETS:
        raise ArtifactError("a .tflite, an .onnx or an artifacts folder", f"{path}, which is {FORMATS[target]}", "name another")
    choices = (asked.preprocess, asked.fit, asked.filter)
    return Served(path.name.removesuffix(SUFFIXES[target]), _copied(path, place), target, choices=choices)


def _copied(path: Path, place: Path) -> Path:
    try:
        return Path(shutil.copy(path, place / path.name))
    except OSError as error:
        raise ArtifactError("an artifact that can be read", f"{path}: {error.strerror}", "check it") from None


def _chosen(served: list[Served], asked: Asked) -> list[Served]:
    """Those asked for, in that order; int8 before others where nothing is asked, since that is what a processor computes fastest."""
    names = [entry.name for entry in served]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(
            "artifacts of different names", f"several called {', '.join(doubled)}", "serve one of them, or rename it"
        )
    if not asked.artifacts:
        return sorted(served, key=lambda entry: (entry.scheme != "int8", entry.target != "tflite"))
    by_name = {entry.name: entry for entry in served}
    for name in asked.artifacts:
        if name not in by_name:
            raise InputError("an artifact that is there", name, f"choose of {', '.join(names)}")
    return [by_name[name] for name in dict.fromkeys(asked.artifacts)]
