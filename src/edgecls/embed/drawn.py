"""Pictures drawn here, so that they may be shipped: one for each way in which decoders and apps commonly go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_STEP = 12  # pixels of one level of colour: flat areas keep the files small, their edges show every filter
_ORIENTATION, _TURNED = 0x0112, 6  # EXIF: to be turned by 90 degrees clockwise
_TRANSPARENCIES = bytes((0, 96, 192))  # of the palette's first colours; the others are opaque


def draw_pictures(folder: Path) -> list[Path]:
    """Write the pictures; their files in a fixed order."""
    save = {
        "plain.png": _save_plain,
        "photo.jpg": _save_photo,
        "turned.jpg": _save_turned,
        "grey.png": _save_grey,
        "palette.png": _save_palette,
        "sixteen_bits.png": _save_sixteen_bits,
        "wide.png": _save_wide,
        "small.png": _save_small,
    }
    for name, save_to in save.items():
        save_to(folder / name)
    return [folder / name for name in save]


def _save_plain(path: Path) -> None:
    Image.fromarray(_scene(270, 360)).save(path)


def _save_photo(path: Path) -> None:
    """As cameras write it: colour at half the resolution."""
    Image.fromarray(_soft(480, 640)).save(path, quality=90, subsampling="4:2:0")


def _save_turned(path: Path) -> None:
    image = Image.fromarray(_soft(240, 320))
    exif = image.getexif()
    exif[_ORIENTATION] = _TURNED
    image.save(path, quality=95, subsampling="4:4:4", exif=exif)


def _save_grey(path: Path) -> None:
    Image.fromarray(_scene(250, 310)[..., 1]).save(path)


def _save_palette(path: Path) -> None:
    """Alpha is dropped: what shows under the transparent colours counts."""
    Image.fromarray(_scene(200, 200)).quantize(32).save(path, transparency=_TRANSPARENCIES)


def _save_sixteen_bits(path: Path) -> None:
    """Levels whose two bytes are equal: some decoders round 16 bits to 8 and others cut, and for these all give the same."""
    Image.fromarray(_scene(220, 260)[..., 0].astype(np.uint16) * 257).save(path)


def _save_wide(path: Path) -> None:
    Image.fromarray(_scene(61, 487)).save(path)


def _save_small(path: Path) -> None:
    """Smaller than any model's image, and of odd sides."""
    Image.fromarray(_scene(61, 61)[::9, ::7]).save(path)


def _soft(height: int, width: int) -> np.ndarray:
    """Colours without edges, which decoders of JPEG round differently: uint8 [H, W, 3]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light = np.exp(-8 * ((x - 0.65) ** 2 + (y - 0.35) ** 2))
    return np.stack([60 + 180 * light, 40 + 180 * x, 220 - 160 * y], axis=-1).round().astype(np.uint8)


def _scene(height: int, width: int) -> np.ndarray:
    """Colours that rise in steps from left to right and from top to bottom, with a disc, and stripes of one pixel: uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    levels = np.stack([x // _STEP * 7, y // _STEP * 11, (x + y) // _STEP * 5], axis=-1) % 256
    disc = (x - width * 2 // 3) ** 2 + (y - height // 3) ** 2 < (min(height, width) // 4) ** 2
    levels[disc] = (230, 40, 60)
    stripes = (y > height * 3 // 4) & (x % 2 == 0)
    levels[stripes] = (250, 250, 250)
    return levels.astype(np.uint8)
