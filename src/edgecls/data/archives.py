"""`.npz` archives, streamed member by member: nothing is unpickled, and no array of images is ever whole in memory."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edgecls.data.decode import convert_channels
from edgecls.data.input_range import InputRange
from edgecls.data.labels import as_text, label_by_value, label_for
from edgecls.data.resize import fit_pixels
from edgecls.data.source import Decoded, Labelling, Role, Skipped
from edgecls.errors import DataError
from edgecls.records.image_spec import ImageSpec
from edgecls.system.archive_errors import NPZ_ERRORS

_KEYS: dict[Role, tuple[tuple[str, str], ...]] = {
    "calibration": (("x_train", "y_train"), ("x", "y")),
    "training": (("x_train", "y_train"), ("x", "y")),
    "validation": (("x_val", "y_val"), ("x_valid", "y_valid")),
    "data": (("x_test", "y_test"), ("x_val", "y_val"), ("x_valid", "y_valid"), ("x", "y")),
}
_ALL_KEYS = sorted({pair for pairs in _KEYS.values() for pair in pairs})
# as MedMNIST and others call them; capitals count for nothing
_SYNONYMS = {"images": "x", "labels": "y"} | {
    f"{part}_{theirs}": f"{ours}_{part}"
    for part in ("train", "val", "test")
    for theirs, ours in (("images", "x"), ("labels", "y"))
}
_CHUNK_BYTES = 4 << 20
_MOST_DEFLATED = 1032  # bytes that one compressed byte can stand for, whatever an archive says of itself
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype


class ArraySource:
    """The images of one member of an archive."""

    notes: list[str]

    def __init__(self, path: Path, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> None:
        self._path, self._spec = path, spec
        self.skipped: list[Skipped] = []
        with _archive(path) as archive:
            self._key, label_key = _choose_keys(path, archive, role)
            with _member(path, archive, self._key) as (_, header):
                self._header = header
            self.total = self._check_shape(header)
            self._layout = _image_shape(header.shape, spec, f"{path}: {self._key}")
            self.dtype = "float32" if header.dtype.kind == "f" else "uint8"
            self.labelling = label_for(role, lambda: self._read_labels(archive, label_key, labels))
        self.notes = [f"{self._key} of the archive used"]
        self._check_conversion()

    def read(self, chosen: np.ndarray) -> Iterator[Decoded | Skipped]:
        """The chosen images; the archive is read once, in chunks."""
        item_bytes = math.prod(self._header.shape[1:]) * self._header.dtype.itemsize
        per_chunk = max(1, _CHUNK_BYTES // item_bytes)
        seen = InputRange(self._spec, f"{self._path}: {self._key}")
        with _archive(self._path) as archive, _member(self._path, archive, self._key) as (stream, header):
            for start in range(0, int(chosen[-1]) + 1, per_chunk):
                count = min(per_chunk, self.total - start)
                block = _take(stream, count * item_bytes, self._path, self._key)
                mine = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + count)] - start
                if len(mine):
                    values = np.frombuffer(block, header.dtype).reshape(count, *self._layout)[mine]
                    if self.dtype == "float32":
                        seen.add(values)
                    for image in self._convert(values):
                        yield Decoded(image)
        seen.check()

    def name(self, index: int) -> str:
        """Arrays have no names."""
        return ""

    def _check_shape(self, header: _Header) -> int:
        if not header.shape or min(header.shape) < 1:
            raise DataError("an array of images", f"{self._key} of shape {header.shape}", "save at least one image")
        if header.dtype.kind not in "biuf":
            raise DataError("an array of images", f"{self._key} of {header.dtype}", "save pixels 0..255 as uint8")
        return header.shape[0]

    def _read_labels(self, archive: zipfile.ZipFile, key: str, labels: Sequence[str] | None) -> Labelling:
        if f"{key}.npy" not in archive.namelist():
            return Labelling(note=f"no {key} in the archive, no labels")
        names: Sequence[str] = ()
        if "class_names.npy" in archive.namelist():
            array = _read_array(self._path, archive, "class_names")
            names = as_text(array, "class_names").tolist() if array.dtype.kind in "US" and array.ndim == 1 else ()
        values = _read_array(self._path, archive, key)
        several = values.ndim == 2 and values.shape[1] > 1 and _have_several(self._path, archive, values.shape[1])
        return label_by_value(values, self.total, names, labels, key, several=several)

    def _check_conversion(self) -> None:
        found, wanted = self._layout[2], self._spec.channels
        sample = convert_channels(np.zeros((1, 1, 1, found), np.uint8), wanted)
        if sample is None or (self.dtype == "float32" and found != wanted):
            raise DataError(f"{wanted} channel(s)", f"{found} in {self._key} ({self._header.dtype})", "convert the images first")
        if self._layout[:2] != (self._spec.height, self._spec.width):
            self.notes.append(f"resized from {self._layout[0]}x{self._layout[1]}")
        if self.dtype == "float32":
            self.notes.append("float values taken as model inputs, already preprocessed")

    def _convert(self, values: np.ndarray) -> Iterator[np.ndarray]:
        if self.dtype == "uint8":
            pixels = convert_channels(_to_uint8(values, self._key), self._spec.channels)
            assert pixels is not None  # checked when the archive was opened
        else:  # as pixels first, which the colour of padding is too
            height, width, _ = self._layout
            stored = self._spec.model_copy(update={"height": height, "width": width, "layout": "HWC"})
            pixels = stored.invert(values)
        yield from (fit_pixels(image, self._spec) for image in pixels)


def member_names(path: Path) -> list[str]:
    """Names of the arrays in an archive, those of images and labels as Keras's datasets call them.

    Raises:
        DataError: it cannot be read.
    """
    with _archive(path) as archive:
        as_keras, as_others = _members(archive)
        return list(as_keras | as_others)


def header_of(path: Path, role: Role) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the images for a role; no image is read.

    Raises:
        DataError: it cannot be read, or has no images for that role.
    """
    with _archive(path) as archive, _member(path, archive, _choose_keys(path, archive, role)[0]) as (_, header):
        return header.shape, header.dtype


def _choose_keys(path: Path, archive: zipfile.ZipFile, role: Role) -> tuple[str, str]:
    as_keras, as_others = _members(archive)
    for images, labels in _KEYS[role]:
        for found in (as_keras, as_others):  # `labels` beside `x` may be anything
            if images in found:
                return found[images], found.get(labels, labels)
    expected = " or ".join("/".join(keys) for keys in _KEYS[role])
    raise DataError(
        f"arrays {expected} for {role}",
        f"{path} with {', '.join(dict.fromkeys(as_keras.values())) or 'nothing'}",
        "save it as np.savez(path, x=..., y=...)",
    )


def _members(archive: zipfile.ZipFile) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the arrays by what Keras's datasets call them: all as they are, and those of synonyms."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    as_keras = {name.casefold(): name for name in names} | {name: name for name in names}
    return as_keras, {_SYNONYMS[name.casefold()]: name for name in names if name.casefold() in _SYNONYMS}


def _have_several(path: Path, archive: zipfile.ZipFile, columns: int) -> bool:
    """Whether rows of any part give an image several classes: rows of the other parts are of the same kind then.

    A row without any tells nothing of other parts: it may be an image that nobody has labelled.
    """
    as_keras, as_others = _members(archive)
    theirs = [
        as_others[labels] for images, labels in _ALL_KEYS if {images, labels} <= as_others.keys()
    ]  # `labels` alone may be anything
    for key in dict.fromkeys([as_keras[labels] for _, labels in _ALL_KEYS if labels in as_keras] + theirs):
        with contextlib.suppress(DataError):  # what is wrong with another part is told where it is asked for
            with _member(path, archive, key) as (_, header):
                if len(header.shape) != 2 or header.shape[1] != columns:
                    continue
            values = _read_array(path, archive, key)
            if (values.sum(axis=1) > 1).any() and np.isin(values, (0, 1)).all():
                return True
    return False


def _image_shape(shape: tuple[int, ...], spec: ImageSpec, where: str) -> tuple[int, int, int]:
    """(H, W, C) of one image of an array [N, ...]."""
    items = shape[1:]
    if len(items) == 1:
        for channels in (spec.channels, 1):
            if items[0] == spec.height * spec.width * channels:
                return spec.height, spec.width, channels
    elif len(items) == 2:
        return items[0], items[1], 1
    elif len(items) == 3 and (items[2] <= 4 or items[2] == spec.channels):
        return items[0], items[1], items[2]
    elif len(items) == 3 and items[0] <= 4:
        raise DataError("channels last, [N, H, W, C]", f"{where} of shape {shape}", "save x.transpose(0, 2, 3, 1)")
    raise DataError(
        f"images [N, {spec.height}, {spec.width}, {spec.channels}]", f"{where} of shape {shape}", "save x as [N, H, W, C]"
    )


def _to_uint8(values: np.ndarray, key: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        found = f"{values.dtype} from {values.min()} to {values.max()}"
        raise DataError("pixels from 0 to 255, or floats ready for the model", f"{key} of {found}", "scale the pixels to 0..255")
    return values.astype(np.uint8)


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except NPZ_ERRORS as error:
        raise _damaged(path, error) from None
    with archive:
        yield archive


@contextlib.contextmanager
def _member(path: Path, archive: zipfile.ZipFile, key: str) -> Iterator[tuple[IO[bytes], _Header]]:
    try:
        stream = archive.open(f"{key}.npy")
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    except NPZ_ERRORS as error:
        raise _damaged(path, error) from None
    with stream:
        if dtype.hasobject or dtype.names:
            raise DataError(
                "arrays of numbers", f"{path}: {key} holds Python objects", "they could run code; save plain arrays instead"
            )
        if fortran and len(shape) > 1:
            raise DataError("arrays in C order", f"{path}: {key} in Fortran order", "save np.ascontiguousarray(x)")
        held = min(archive.getinfo(f"{key}.npy").file_size, _MOST_DEFLATED * path.stat().st_size)
        if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize > held:
            raise _damaged(path, EOFError(f"{key} of shape {shape} is cut short"))
        yield stream, _Header(shape, dtype)


def _take(stream: IO[bytes], size: int, path: Path, key: str) -> bytes:
    try:
        block = stream.read(size)
    except NPZ_ERRORS as error:
        raise _damaged(path, error) from None
    if len(block) < size:
        raise _damaged(path, EOFError(f"{key} is cut short"))
    return block


def _read_array(path: Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    with _member(path, archive, key) as (stream, header):
        size = math.prod(header.shape) * header.dtype.itemsize
        return np.frombuffer(_take(stream, size, path, key), header.dtype).reshape(header.shape)


def _damaged(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.errno:  # the file system's words
        return DataError("a file that can be read", f"{path}: {error.strerror}", "check the file and its permissions")
    return DataError(
        "a readable .npz archive", f"{path}: {error}", "it is damaged or of another type: save it again with np.savez"
    )
