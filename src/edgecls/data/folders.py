"""Image folders: class folders, or one flat folder."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgecls.data.decode import SUFFIXES, decode_image
from edgecls.data.labels import label_by_name
from edgecls.data.parts import is_clutter
from edgecls.data.source import Decoded, Labelling, Role, Skipped
from edgecls.errors import DataError
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec
from edgecls.system.processor import usable_cores

_SPLITS: dict[Role, tuple[str, ...]] = {
    "calibration": ("train", "training"),
    "training": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "data": ("test", "testing", "val", "valid", "validation"),
}
_SPLIT_NAMES = frozenset(name for names in _SPLITS.values() for name in names)


class FileSource:
    """Image files on disk, decoded by as many threads as there are cores (Pillow decodes outside Python's global lock)."""

    dtype = "uint8"

    def __init__(
        self, files: Sequence[Path], labelling: Labelling, spec: ImageSpec, *, notes: list[str], skipped: list[Skipped]
    ) -> None:
        self.total = len(files)
        self.labelling, self.notes, self.skipped = labelling, notes, skipped
        self._files, self._spec = files, spec

    def read(self, chosen: np.ndarray) -> Iterator[Decoded | Skipped]:
        """One answer per chosen file; a bounded number of images is in memory at any time."""
        threads = usable_cores()
        waiting: collections.deque[concurrent.futures.Future[Decoded | Skipped]] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            try:
                for index in chosen:
                    waiting.append(pool.submit(decode_image, self._files[index], self._spec))
                    if len(waiting) >= 4 * threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def name(self, index: int) -> str:
        """The file with the folder it lies in: `daisy/5.jpg`."""
        return f"{self._files[index].parent.name}/{self._files[index].name}"


def open_files(path: Path, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> FileSource:
    """The images of a folder (class folders or flat) or a single image file.

    Class folders: every folder at the top is a class, its images may lie deeper. A folder that holds nothing but `train`, `test`
    or `val` folders stands for the one that fits the role. Hidden files are ignored; what is no image by its name is skipped.

    Raises:
        DataError: no image there, or a model that image files cannot feed.
    """
    require_image_files(path, spec)
    if path.is_file():
        if not _images([path]):
            raise DataError("an image, a folder of images or an .npz", f"{path}", "its name does not end like an image's")
        return FileSource([path], Labelling(note="a single image, no labels"), spec, notes=[], skipped=[])
    path, notes = _split_for(path, role)
    folders, loose = _visible(path)
    members = {folder.name: _walk(folder) for folder in folders}
    if not any(_images(files) for files in members.values()):
        files = loose + [file for found in members.values() for file in found]
        _require_images(path, _images(files), _others(files))
        return FileSource(_images(files), Labelling(note="a flat folder, no labels"), spec, notes=notes, skipped=_others(files))
    images = {name: _images(files) for name, files in members.items()}
    notes += [f"class folder {name!r} holds no image" for name, found in images.items() if not found]
    files = [file for found in images.values() for file in found]
    skipped = [Skipped(str(file), "not in a class folder") for file in loose] + _others(
        [file for found in members.values() for file in found]
    )
    return FileSource(files, _labelled(images, labels), spec, notes=notes, skipped=skipped)


def _labelled(images: Mapping[str, list[Path]], labels: Sequence[str] | None) -> Labelling:
    """Label images by their class folders. An empty folder is a class where that fits the model, as Keras counts it, and else none."""
    every = _by_folder(images, labels)
    if every.labels is not None or all(images.values()):
        return every
    return _by_folder({name: found for name, found in images.items() if found}, labels)


def _by_folder(images: Mapping[str, list[Path]], labels: Sequence[str] | None) -> Labelling:
    groups = np.repeat(np.arange(len(images)), [len(found) for found in images.values()])
    return label_by_name("class folders", list(images), groups, labels)


def require_image_files(path: Path, spec: ImageSpec) -> None:
    """Refuse image files for a model that they cannot feed.

    Raises:
        DataError: it takes neither grey nor colour images.
    """
    if spec.channels not in (1, 3):
        raise DataError(
            f"arrays of {spec.channels} channels in an .npz", f"image files at {path}", "save the inputs as an .npz with x and y"
        )


def _require_images(path: Path, files: list[Path], skipped: list[Skipped]) -> None:
    if not files:
        found = f"{counted(len(skipped), 'other file')} in {path}" if skipped else f"nothing in {path}"
        raise DataError(
            "a folder of images, or of class folders with images", found, "put some there, or name the folder above the classes"
        )


def _split_for(path: Path, role: Role) -> tuple[Path, list[str]]:
    by_name = {folder.name.casefold(): folder for folder in _visible(path)[0]}
    if not by_name or not set(by_name) <= _SPLIT_NAMES:
        return path, []
    for name in _SPLITS[role]:
        if name in by_name:
            return by_name[name], [f"folder {by_name[name].name!r} used"]
    raise DataError(
        f"a folder named {' or '.join(_SPLITS[role])} in {path}", ", ".join(by_name), "name the folder of images itself"
    )


def _visible(path: Path) -> tuple[list[Path], list[Path]]:
    """Sorted (folders, files) of a folder, clutter apart."""
    try:
        entries = sorted(entry for entry in path.iterdir() if not is_clutter(entry.name))
    except OSError as error:
        raise DataError("a folder that can be read", f"{path}: {error.strerror}", "check its permissions") from None
    return [entry for entry in entries if entry.is_dir()], [entry for entry in entries if not entry.is_dir()]


def images_below(folder: Path, *, skip_closed: bool = False) -> list[Path]:
    """Images anywhere in a folder, clutter apart.

    Args:
        skip_closed: pass over a folder that cannot be read.

    Raises:
        DataError: a folder that cannot be read.
    """
    return _images(_walk(folder, skip_closed=skip_closed))


def _walk(folder: Path, *, skip_closed: bool = False) -> list[Path]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=None if skip_closed else _refuse):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        found += [Path(parent, name) for name in sorted(files) if not is_clutter(name)]
    return found


def _refuse(error: OSError) -> None:
    raise DataError("a folder that can be read", f"{error.filename}: {error.strerror}", "check its permissions")


def _images(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if file.suffix.casefold() in SUFFIXES]


def _others(files: Sequence[Path]) -> list[Skipped]:
    return [Skipped(str(file), "not an image by its name") for file in files if file.suffix.casefold() not in SUFFIXES]
