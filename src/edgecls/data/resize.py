"""A picture to the pixels that enter a model: where it goes (fit) and how it is resampled (filter), as docs/image-contract.md says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgecls.records.image_spec import Filter, ImageSpec

_PILLOW: dict[Filter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear-antialiased": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_REAL_BOXES = frozenset(("bilinear-antialiased", "bicubic", "lanczos"))  # the filters that may begin within a pixel


@dataclass(frozen=True)
class Placement:
    """Where a picture goes in the model's image.

    Attributes:
        box: the part of the picture that is used: left, top, right, bottom in its pixels.
        width, height: what the box is resampled to.
        left, top: where that lies in the model's image. Below 0 it hangs over, and what hangs over is cut off; above 0 the pad
            colour shows around it.
    """

    box: tuple[float, float, float, float]
    width: int
    height: int
    left: int = 0
    top: int = 0


def place(width: int, height: int, spec: ImageSpec) -> Placement:
    """The placement that `spec.fit` gives a picture of this size."""
    if spec.fit == "pad":
        return _padded(width, height, spec)
    if spec.fit == "crop":
        if spec.crop_share is not None:
            return _resized_then_cropped(width, height, spec, spec.crop_share)
        return Placement(_largest_part(width, height, spec), spec.width, spec.height)
    return Placement((0, 0, width, height), spec.width, spec.height)


def fit_image(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    """A picture (mode L, RGB or F) as [H, W, C] in the size of `spec`, of the picture's own type."""
    placement = place(image.width, image.height, spec)
    return _placed(_resampled(image, placement, spec.filter), placement, spec)


def fit_pixels(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """The same of an array [H, W, C], uint8 or float32 (0..255), with any number of channels."""
    height, width = pixels.shape[:2]
    placement = place(width, height, spec)
    if placement == Placement((0, 0, width, height), width, height):
        return pixels
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return fit_image(Image.fromarray(pixels), spec)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(pixels, -1, 0)]
    return _placed(np.concatenate([_resampled(plane, placement, spec.filter) for plane in planes], axis=-1), placement, spec)


def stretch_pixels(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """An array [H, W, C] squeezed into another size, bilinear with antialiasing: for images that are made, not read."""
    return fit_pixels(pixels, ImageSpec(height=height, width=width, channels=pixels.shape[2]))


def _largest_part(width: int, height: int, spec: ImageSpec) -> tuple[float, float, float, float]:
    """The largest centred part of the model's aspect: in whole pixels as Keras' smart_resize, else as Pillow's ImageOps.fit."""
    if spec.filter in _REAL_BOXES:
        aspect = spec.width / spec.height
        part_width, part_height = width, height
        if width / height > aspect:
            part_width = aspect * height
        elif width / height < aspect:
            part_height = width / aspect
        left, top = (width - part_width) * 0.5, (height - part_height) * 0.5
    else:
        part_width = max(1, min(width, int(height * spec.width / spec.height)))
        part_height = max(1, min(height, int(width * spec.height / spec.width)))
        left, top = (width - part_width) // 2, (height - part_height) // 2
    return left, top, left + part_width, top + part_height


def _resized_then_cropped(width: int, height: int, spec: ImageSpec, share: float) -> Placement:
    """As torchvision's Resize(round(size / share)) and CenterCrop(size)."""
    wanted_width, wanted_height = round(spec.width / share), round(spec.height / share)
    if wanted_width * height >= wanted_height * width:  # the picture is narrower than the model: its width decides
        new_width, new_height = wanted_width, max(spec.height, int(wanted_width * height / width))
    else:
        new_width, new_height = max(spec.width, int(wanted_height * width / height)), wanted_height
    left, top = -round((new_width - spec.width) / 2.0), -round((new_height - spec.height) / 2.0)
    return Placement((0, 0, width, height), new_width, new_height, left, top)


def _padded(width: int, height: int, spec: ImageSpec) -> Placement:
    """As Pillow's ImageOps.pad, which leaves no picture of less than half a pixel; here one pixel is the least."""
    new_width, new_height = spec.width, spec.height
    if width / height > spec.width / spec.height:
        new_height = max(1, round(height / width * spec.width))
    elif width / height < spec.width / spec.height:
        new_width = max(1, round(width / height * spec.height))
    left, top = round((spec.width - new_width) * 0.5), round((spec.height - new_height) * 0.5)
    return Placement((0, 0, width, height), new_width, new_height, left, top)


def _resampled(image: Image.Image, placement: Placement, kind: Filter) -> np.ndarray:
    """The box of a picture in the size it gets, [H, W, C]."""
    if kind == "bilinear":
        left, top, right, bottom = (int(edge) for edge in placement.box)  # whole pixels: only _REAL_BOXES have others
        return _bilinear(_channels_last(image)[top:bottom, left:right], placement.height, placement.width)
    return _channels_last(_resized_by_pillow(image, placement, _PILLOW[kind]))


def _resized_by_pillow(image: Image.Image, placement: Placement, kind: Image.Resampling) -> Image.Image:
    """In two passes, of which the first rounds to whole levels: Pillow 13 takes the vertical one first where a picture loses much height,
    older ones never do. Here it is first there with any Pillow."""
    left, top, right, bottom = placement.box
    lost_width, lost_height = image.width - placement.width, image.height - placement.height
    if kind != Image.Resampling.NEAREST and lost_height > max(0, 2 * lost_width):
        image = image.resize((image.width, placement.height), kind, (0, top, image.width, bottom))
        top, bottom = 0, placement.height
    return image.resize((placement.width, placement.height), kind, (left, top, right, bottom))


def _channels_last(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    return values if values.ndim == 3 else values[..., None]


def _bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """TensorFlow's ResizeBilinear with half-pixel centres, in its float32 arithmetic; integers are rounded, ties to even."""
    upper, lower, down = _neighbours(values.shape[0], height)
    left, right, across = _neighbours(values.shape[1], width)
    down, across = down[:, None, None], across[:, None]
    rows = [values[index].astype(np.float32) for index in (upper, lower)]
    above, below = (row[:, left] + (row[:, right] - row[:, left]) * across for row in rows)
    result = above + (below - above) * down
    return result if values.dtype.kind == "f" else np.rint(result).astype(values.dtype)


def _neighbours(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel the two it lies between, and how far it is from the first, float32."""
    scale = np.float32(size) / np.float32(new_size)
    places = (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    first = np.floor(places)
    low, high = first.astype(np.int64), first.astype(np.int64) + 1
    return np.maximum(low, 0), np.minimum(high, size - 1), places - first


def _placed(values: np.ndarray, placement: Placement, spec: ImageSpec) -> np.ndarray:
    """What was resampled, at its place in the model's image."""
    top, left = max(0, -placement.top), max(0, -placement.left)
    seen = values[top : top + spec.height, left : left + spec.width]
    if seen.shape[:2] == (spec.height, spec.width):
        return seen
    result = np.empty((spec.height, spec.width, values.shape[2]), values.dtype)
    result[...] = spec.pad_values
    result[placement.top : placement.top + placement.height, placement.left : placement.left + placement.width] = seen
    return result
