"""PixelFile: decoded images one after another in a temporary file, so that memory does not grow with their number."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edgecls.errors import DataError, OutputError
from edgecls.system.private_folder import temporary_folder


@dataclass(frozen=True)
class PixelFile:
    """Pixels [count, H, W, C] in a raw file that any process may read.

    Attributes:
        path: the file; it lives as long as the PixelWriter that made it.
        shape: (H, W, C).
        dtype: `uint8` or `float32`.
        count: number of images.
    """

    path: str
    shape: tuple[int, int, int]
    dtype: str
    count: int

    def read(self, start: int, stop: int) -> np.ndarray:
        """Images `start` to `stop` (excluded) as [n, H, W, C]: read, not mapped, so that only these count as memory."""
        size = int(np.prod(self.shape))
        stop = min(stop, self.count)
        values = np.fromfile(self.path, self.dtype, (stop - start) * size, offset=start * size * np.dtype(self.dtype).itemsize)
        return values.reshape(stop - start, *self.shape)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """These images, in this order, as [n, H, W, C]."""
        values = np.empty((len(indices), *self.shape), self.dtype)
        with open(self.path, "rb", buffering=0) as stream:
            for index, target in zip(indices, values, strict=True):
                stream.seek(int(index) * target.nbytes)
                target[...] = np.fromfile(stream, self.dtype, target.size).reshape(target.shape)
        return values

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """All images in order, `size` at a time."""
        for start in range(0, self.count, size):
            yield self.read(start, start + size)


class PixelWriter:
    """Writes a PixelFile. The file is removed when the writer is closed or forgotten.

    Raises:
        DataError: the images will not fit on the disk.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: str, expected: int) -> None:
        self._folder = temporary_folder()
        need = int(np.prod(shape)) * np.dtype(dtype).itemsize * expected
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if need > free:
            raise DataError(
                f"{need:,} bytes of temporary space for {expected:,} images of {shape[0]}x{shape[1]}x{shape[2]}",
                f"{free:,} bytes free in {tempfile.gettempdir()}",
                "take fewer images with --limit, or set TMPDIR to a larger disk",
            )
        self._shape, self._dtype, self._count = shape, dtype, 0
        self._file = (self._folder.path / "pixels").open("wb", buffering=1 << 20)

    def append(self, pixels: np.ndarray) -> None:
        """Add one image [H, W, C]."""
        try:
            self._file.write(np.ascontiguousarray(pixels, self._dtype).data)
        except OSError as error:
            raise OutputError(
                "temporary space for decoded images", str(error), "free some, or set TMPDIR to a larger disk"
            ) from None
        self._count += 1

    def finish(self) -> PixelFile:
        """Everything written so far, ready to read."""
        self._file.flush()
        return PixelFile(self._file.name, self._shape, self._dtype, self._count)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._folder.close()

    def __enter__(self) -> PixelWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_pixels(images: np.ndarray) -> PixelWriter:
    """Images [n, H, W, C], uint8 or numbers, as a file that other processes read."""
    height, width, channels = images.shape[1:]
    writer = PixelWriter((height, width, channels), "uint8" if images.dtype == np.uint8 else "float32", len(images))
    for image in images:
        writer.append(image)
    return writer
