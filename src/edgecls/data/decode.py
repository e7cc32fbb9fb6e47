"""One image file to pixels, or the reason why not."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edgecls.data.resize import fit_image
from edgecls.data.source import Decoded, Skipped
from edgecls.errors import DataError, OversizedImageError
from edgecls.records.image_spec import ImageSpec, luma

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif", ".ico", ".tga", ".jp2",
))  # fmt: skip
_DECODE_ERRORS = (  # what Pillow's readers raise on damaged files
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# What strangers may send: formats that phones, browsers and cameras write. Pillow would also start Ghostscript for an EPS.
_SENT_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_LFS = b"version https://git-lfs"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def decode_image(path: Path, spec: ImageSpec) -> Decoded | Skipped:
    """Read one image file as uint8 [H, W, C] in the size and channels of `spec`, by the rules of docs/image-contract.md.

    It is decoded at its full size: JPEG's own reduced sizes are other pixels than those that a phone makes of the same file. EXIF
    orientation is applied. Palettes become colours, CMYK becomes RGB, 16 bits become 8, transparency is dropped as Keras does, of
    an animation the first frame counts. Then `fit_image` makes it the model's size.
    """
    try:
        _check_sums(path)
        with Image.open(path) as image:
            remark = "animated, first frame used" if getattr(image, "n_frames", 1) > 1 else ""
            return Decoded(_pixels(image, spec), remark)
    except UnidentifiedImageError:
        return Skipped(str(path), _why_not_an_image(path))
    except _DECODE_ERRORS as error:
        if isinstance(error, OSError) and error.errno:  # the file system's words; Pillow's own have no number
            return Skipped(str(path), f"cannot be read: {error.strerror}")
        return Skipped(str(path), f"damaged: {' '.join(str(error).split()) or type(error).__name__}")


def decode_bytes(content: bytes, spec: ImageSpec, most_pixels: int) -> np.ndarray:
    """The same of an image file in memory that a stranger sent: nothing is decoded before its size is known to be bearable.

    Args:
        content: a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file.
        most_pixels: width times height at most.

    Returns:
        uint8 [H, W, C], to the bit what `decode_image` makes of the same file.

    Raises:
        OversizedImageError: more pixels than that.
        DataError: no image of these formats, or a damaged one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=_SENT_FORMATS) as image:
                if image.width * image.height > most_pixels:
                    raise _oversized(most_pixels, f"{image.width} x {image.height}")
                if image.format == "PNG":
                    _verify(content)
                return _pixels(image, spec)
    except UnidentifiedImageError:
        raise DataError("an image file", _what_it_is(content), "send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF") from None
    except Image.DecompressionBombError:
        raise _oversized(most_pixels, "far more") from None
    except _DECODE_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError("an undamaged image file", reason, "send the whole file as it is") from None


def convert_channels(pixels: np.ndarray, channels: int) -> np.ndarray | None:
    """uint8 [N, H, W, C] to another number of channels; None where there is no way. Alpha is dropped."""
    found = pixels.shape[-1]
    if found == channels:
        return pixels
    if found in (2, 4):
        return convert_channels(pixels[..., : found - 1], channels)
    if (found, channels) == (1, 3):
        return np.repeat(pixels, 3, axis=-1)
    if (found, channels) == (3, 1):
        return luma(*np.moveaxis(pixels.astype(np.int32), -1, 0)).astype(np.uint8)[..., None]
    return None


def _check_sums(path: Path) -> None:
    """Pillow fills a PNG whose compressed data went wrong with black; the check sums tell."""
    with Image.open(path) as image:
        if image.format == "PNG":
            image.verify()


def _oversized(most_pixels: int, found: str) -> OversizedImageError:
    return OversizedImageError(f"an image of at most {most_pixels:,} pixels", found, "send a smaller one")


def _verify(content: bytes) -> None:
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        image.verify()


def _pixels(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    ImageOps.exif_transpose(image, in_place=True)
    return fit_image(_eight_bit(image, "L" if spec.channels == 1 else "RGB"), spec)


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"32-bit samples (mode {image.mode}) have no agreed range; save it with 8 or 16 bits")
    if image.mode == "P":  # by way of its colours, so that a palette of greys is not taken for indices
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image if image.mode == mode else image.convert(mode)


def _why_not_an_image(path: Path) -> str:
    return _what_it_is(path.open("rb").read(len(_LFS)) if path.is_file() else b"")


def _what_it_is(content: bytes) -> str:
    head = content[: len(_LFS)]
    if head == _LFS:
        return "a Git LFS pointer, not the image itself: run `git lfs pull`"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "a HEIC image, which Pillow cannot read: save it as JPEG or PNG"
    return "not an image" if head else "empty file"
