"""ImageSet: images of one source at one model's size, with labels where they are known."""

from __future__ import annotations

import collections
import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgecls.data.digits import DigitsSource, are_digits
from edgecls.data.pixel_file import PixelFile, PixelWriter
from edgecls.data.source import Decoded, Role, Skipped, Source
from edgecls.data.subset import choose
from edgecls.errors import DataError
from edgecls.records.counted import counted
from edgecls.records.image_spec import ImageSpec

_MOST_SKIPPED = 0.5


@dataclass(frozen=True)
class _Contents:
    writer: PixelWriter  # keeps the temporary file alive
    pixels: PixelFile
    kept: np.ndarray
    skipped: list[Skipped]
    remarks: collections.Counter[str]


class ImageSet:
    """Images in a fixed order.

    Opening lists files and checks headers. The images themselves are decoded once, by several threads, into a temporary file, as
    soon as anything that depends on them is asked (length, labels, skipped, note, batches, pixels); from there they can be read
    any number of times, by any process, without memory that grows with their number.

    Attributes:
        path: where they come from.
        spec: the size and channels they come in.
    """

    def __init__(self, path: Path, source: Source, spec: ImageSpec, limit: int | None, seed: int) -> None:
        self.path = path
        self._source, self.spec = source, spec
        self._chosen = choose(source.total, source.labelling.groups, limit, seed)
        self._progress: Callable[[int, int], None] | None = None

    def __len__(self) -> int:
        return self._contents.pixels.count

    @property
    def labelled(self) -> bool:
        """Whether the images have labels; known without decoding."""
        return self._source.labelling.labels is not None

    @property
    def multi_hot(self) -> bool:
        """Whether images have any number of labels; known without decoding."""
        known = self._source.labelling.labels
        return known is not None and known.ndim == 2

    @property
    def dtype(self) -> str:
        """`uint8`, or `float32` where the source holds model inputs; known without decoding."""
        return self._source.dtype

    @property
    def candidates(self) -> int:
        """Number of images before damaged ones are skipped; known without decoding."""
        return len(self._chosen)

    @property
    def labels(self) -> np.ndarray | None:
        """Class index per image, int64 [N], or where an image may have several or none, multi-hot rows, uint8 [N, classes]; or None."""
        known = self._source.labelling.labels
        return None if known is None else known[self._contents.kept]

    def name(self, index: int) -> str:
        """What people call the image at this place: `daisy/5.jpg`; empty where it has no file of its own."""
        return self._source.name(int(self._contents.kept[index]))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name per class index, empty where unknown."""
        return self._source.labelling.class_names

    @property
    def skipped(self) -> list[Skipped]:
        """What was there and is not among the images, and why."""
        return self._contents.skipped

    @property
    def note(self) -> str:
        """How images and labels were found, in one line."""
        contents = self._contents
        notes = [*self._source.notes, self._source.labelling.note]
        notes += [f"{counted(count, 'image')} {remark}" for remark, count in contents.remarks.items()]
        if contents.skipped:
            first = contents.skipped[0]
            notes.append(f"{len(contents.skipped)} skipped, first {Path(first.path).name}: {first.reason}")
        if len(self._chosen) < self._source.total:
            notes.append(f"{len(self._chosen)} of {self._source.total} images chosen")
        return "; ".join(note for note in notes if note)

    @property
    def pixels(self) -> PixelFile:
        """All images [N, H, W, C] in a file; it lives as long as this ImageSet."""
        return self._contents.pixels

    def batches(self, size: int = 32) -> Iterator[np.ndarray]:
        """Pixels [n, H, W, C], 0..255, RGB or grey: uint8, or float32 where the source holds model inputs."""
        yield from self._contents.pixels.batches(size)  # a generator of ours keeps the set, and so its file, alive

    def decode(self, progress: Callable[[int, int], None] | None = None) -> ImageSet:
        """Decode now, telling `progress(done, total)`; otherwise it happens at first use.

        Raises:
            DataError: no image is usable, or more than half of them are not.
        """
        self._progress = progress
        _ = self._contents
        return self

    def close(self) -> None:
        """Remove the temporary file; happens by itself when the set is forgotten."""
        if "_contents" in self.__dict__:
            self._contents.writer.close()

    @cached_property
    def _contents(self) -> _Contents:
        writer = PixelWriter((self.spec.height, self.spec.width, self.spec.channels), self._source.dtype, len(self._chosen))
        kept: list[int] = []
        failed: list[Skipped] = []
        remarks: collections.Counter[str] = collections.Counter()
        with warnings.catch_warnings(), contextlib.ExitStack() as on_error:
            warnings.simplefilter("ignore")  # Pillow's words on a file would reach the terminal; `skipped` has them
            on_error.callback(writer.close)
            for index, item in zip(self._chosen, self._source.read(self._chosen), strict=True):
                if isinstance(item, Decoded):
                    writer.append(item.pixels)
                    kept.append(index)
                    remarks.update([item.remark] if item.remark else [])
                else:
                    failed.append(item)
                if self._progress:
                    self._progress(len(kept) + len(failed), len(self._chosen))
            self._check(failed)
            on_error.pop_all()
        return _Contents(writer, writer.finish(), np.asarray(kept, np.int64), failed + self._source.skipped, remarks)

    def _check(self, failed: list[Skipped]) -> None:
        if len(failed) > _MOST_SKIPPED * len(self._chosen):
            first = failed[0]
            if len(self._chosen) == 1:
                raise DataError("an image that can be read", f"{first.path}: {first.reason}", "repair it, or give another")
            raise DataError(
                "images most of which can be read",
                f"{len(failed)} of {len(self._chosen)} that cannot, first {first.path}: {first.reason}",
                "repair or remove them",
            )


def open_images(
    path: Path,
    spec: ImageSpec,
    *,
    role: Role,
    labels: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Open images for a model.

    Args:
        path: class folders, a flat folder, one image, a `.csv` beside images, an `.npz`, or `digits` for scikit-learn's.
        spec: the size and channels the pixels come in.
        role: `calibration` and `training` take the training part where a source has parts, `data` the test part. Calibration needs
            no labels: what is wrong with them is a note there, and an error elsewhere.
        labels: the model's labels, one per class (two for a single sigmoid output); None where nothing is known of its classes.
        limit: at most so many images, each class in its share, the same ones for the same `seed`.

    Raises:
        DataError: nothing usable there; the message says what was found.
    """
    if limit is not None and limit < 1:
        raise DataError("a limit of at least one image", f"{limit}", "leave --limit out to take all")
    try:
        source = _open_source(path, spec, role, labels)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise DataError(
            "images that can be read",
            f"{error.filename or path}: {error.strerror or error}",
            "check the path and its permissions",
        ) from None
    return ImageSet(path, source, spec, limit, seed)


def _open_source(path: Path, spec: ImageSpec, role: Role, labels: Sequence[str] | None) -> Source:
    if are_digits(path):
        if spec.channels not in (1, 3):
            raise DataError(f"images of {spec.channels} channels", "the bundled digits, which are grey", "give other data")
        return DigitsSource(spec, role, labels)
    if not path.exists():
        raise DataError("a folder of images, a .csv, an .npz or `digits`", f"{path}, which does not exist", "check the path")
    if path.is_file() and path.suffix.casefold() == ".npz":
        from edgecls.data.archives import ArraySource

        return ArraySource(path, spec, role, labels)
    if path.is_file() and path.suffix.casefold() == ".csv":
        from edgecls.data.label_table import open_table

        return open_table(path, spec, role, labels)
    from edgecls.data.folders import open_files  # brings Pillow, which archives of the right size do without

    return open_files(path, spec, role, labels)
