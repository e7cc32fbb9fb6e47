"""The golden vectors: that they are what this code makes, and that the libraries named in docs/image-contract.md make the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgecls.records.image_spec import ImageSpec
from make_golden import GOLDEN, golden_files

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear-antialiased": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
Resize = Callable[[np.ndarray, int, int, tuple[float, float, float, float]], np.ndarray]  # pixels, width, height, box


def cases() -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """Every case with its source and its pixels, read as other languages read them."""
    vectors = json.loads((GOLDEN / "vectors.json").read_text())
    sources, pixels = (GOLDEN / "sources.bin").read_bytes(), (GOLDEN / "pixels.bin").read_bytes()
    for case in vectors["cases"]:
        entry = vectors["sources"][case["source"]]
        source = np.frombuffer(sources, np.uint8, entry["size_bytes"], entry["offset"])
        source = source.reshape(entry["height"], entry["width"], entry["channels"])
        found = np.frombuffer(pixels, np.uint8, case["size_bytes"], case["offset"])
        yield case, source, found.reshape(case["height"], case["width"], entry["channels"])


def test_building_the_vectors_again_gives_the_same_bytes():
    assert {path.name: path.read_bytes() for path in GOLDEN.iterdir()} == golden_files()


def test_every_fit_and_filter_stands_in_a_dozen_sizes():
    found = {(case["fit"], case["crop_share"], case["filter"]) for case, _, _ in cases()}
    assert len(found) == 4 * 5
    assert sum(1 for _ in cases()) == 4 * 5 * 12
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 500_000


def test_pillow_makes_the_same_pixels():
    assert _compare(lambda case: case["filter"] in PILLOW, _by_pillow) == 4 * 4 * 12


def test_the_rules_as_they_are_written_down_make_the_same_pixels():
    """The arithmetic of docs/image-contract.md, without Pillow: what other languages implement."""

    def written_out(case: dict[str, Any], source: np.ndarray) -> np.ndarray:
        resize = _nearest if case["filter"] == "nearest" else _antialiased(case["filter"])
        return _with_fit(case, source, resize)

    assert _compare(lambda case: case["filter"] in PILLOW, written_out) == 4 * 4 * 12


def test_tensorflow_and_keras_make_the_same_pixels(tmp_path: Path):
    tf = pytest.importorskip("tensorflow")
    from keras.preprocessing.image import smart_resize
    from keras.utils import img_to_array, load_img

    def bilinear(pixels: np.ndarray, width: int, height: int, box: tuple[float, float, float, float]) -> np.ndarray:
        left, top, right, bottom = (int(edge) for edge in box)
        fractions = tf.image.resize(pixels[top:bottom, left:right], (height, width)).numpy()
        return np.rint(fractions).astype(np.uint8)

    def by_keras(case: dict[str, Any], source: np.ndarray) -> np.ndarray:
        if case["fit"] != "crop" or case["crop_share"] is not None:
            return _with_fit(case, source, bilinear)
        if case["filter"] == "bilinear":
            fractions = smart_resize(source, (case["height"], case["width"]), backend_module=None, data_format="channels_last")
            return np.rint(np.asarray(fractions)).astype(np.uint8)
        path = tmp_path / "source.png"
        Image.fromarray(source.squeeze(-1) if source.shape[2] == 1 else source).save(path)
        image = load_img(
            path,
            color_mode="grayscale" if source.shape[2] == 1 else "rgb",
            target_size=(case["height"], case["width"]),
            interpolation="nearest",
            keep_aspect_ratio=True,
        )
        return img_to_array(image).astype(np.uint8)

    assert _compare(lambda case: case["filter"] == "bilinear", by_keras) == 4 * 12
    largest = {"filter": "nearest", "fit": "crop", "crop_share": None}
    assert _compare(lambda case: largest.items() <= case.items(), by_keras) == 12


def test_normalisation_is_what_a_spec_computes():
    for case in json.loads((GOLDEN / "normalisation.json").read_text())["cases"]:
        spec = ImageSpec.model_validate(case["spec"])
        pixels = np.array(case["pixels"], np.uint8).reshape(1, spec.height, spec.width, spec.channels)
        assert spec.apply(pixels).ravel().tolist() == np.array(case["inputs"], np.float32).tolist()


def _compare(chosen: Callable[[dict[str, Any]], bool], make: Callable[[dict[str, Any], np.ndarray], np.ndarray]) -> int:
    """How many cases were compared; each is equal to the bit."""
    compared = 0
    for case, source, expected in cases():
        if chosen(case):
            assert np.array_equal(make(case, source), expected), case
            compared += 1
    return compared


def _by_pillow(case: dict[str, Any], source: np.ndarray) -> np.ndarray:
    """What Pillow's own functions make; the box of `nearest` is that of Keras, and pictures of no height are none of Pillow's."""
    image = Image.fromarray(source.squeeze(-1) if source.shape[2] == 1 else source)
    size, kind = (case["width"], case["height"]), PILLOW[case["filter"]]
    colour = tuple(case["pad_color"])
    if case["fit"] == "pad" and min(ImageOps.contain(image, size).size) > 0:
        if image.mode == "L":
            colour = int(np.asarray(Image.new("RGB", (1, 1), colour).convert("L"))[0, 0])
        return _channels_last(ImageOps.pad(image, size, kind, color=colour))
    if case["fit"] == "crop" and case["crop_share"] is None and case["filter"] != "nearest":
        return _channels_last(ImageOps.fit(image, size, kind))
    return _with_fit(case, source, lambda pixels, width, height, box: _channels_last(image.resize((width, height), kind, box)))


def _channels_last(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    return values if values.ndim == 3 else values[..., None]


def _with_fit(case: dict[str, Any], source: np.ndarray, resize: Resize) -> np.ndarray:
    """The fits as they are written down."""
    height, width, channels = source.shape
    wanted_height, wanted_width = case["height"], case["width"]
    whole = (0, 0, width, height)
    if case["fit"] == "squeeze":
        return resize(source, wanted_width, wanted_height, whole)
    if case["fit"] == "pad":
        new_width, new_height = wanted_width, wanted_height
        if width / height > wanted_width / wanted_height:
            new_height = max(1, round(height / width * wanted_width))
        elif width / height < wanted_width / wanted_height:
            new_width = max(1, round(width / height * wanted_height))
        red, green, blue = case["pad_color"]
        grey = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
        result = np.empty((wanted_height, wanted_width, channels), np.uint8)
        result[...] = grey if channels == 1 else case["pad_color"]
        top, left = round((wanted_height - new_height) * 0.5), round((wanted_width - new_width) * 0.5)
        result[top : top + new_height, left : left + new_width] = resize(source, new_width, new_height, whole)
        return result
    if case["crop_share"] is not None:
        return _as_torchvision(case, source, resize)
    aspect = wanted_width / wanted_height
    if case["filter"] in ("nearest", "bilinear"):
        part_width = max(1, min(width, int(height * wanted_width / wanted_height)))
        part_height = max(1, min(height, int(width * wanted_height / wanted_width)))
        left, top = (width - part_width) // 2, (height - part_height) // 2
    else:
        part_width = aspect * height if width / height > aspect else width
        part_height = width / aspect if width / height < aspect else height
        left, top = (width - part_width) * 0.5, (height - part_height) * 0.5
    return resize(source, wanted_width, wanted_height, (left, top, left + part_width, top + part_height))


def _as_torchvision(case: dict[str, Any], source: np.ndarray, resize: Resize) -> np.ndarray:
    """torchvision's Resize and CenterCrop for square models (transforms/functional.py), the same for others."""
    height, width, _ = source.shape
    wanted_height, wanted_width = case["height"], case["width"]
    if wanted_height == wanted_width:
        size = round(wanted_width / case["crop_share"])
        short, long = (width, height) if width <= height else (height, width)
        new_short, new_long = size, int(size * long / short)
        new_width, new_height = (new_short, new_long) if width <= height else (new_long, new_short)
    else:
        new_width, new_height = round(wanted_width / case["crop_share"]), round(wanted_height / case["crop_share"])
        if new_width / width >= new_height / height:
            new_height = max(wanted_height, int(new_width * height / width))
        else:
            new_width = max(wanted_width, int(new_height * width / height))
    resized = resize(source, new_width, new_height, (0, 0, width, height))
    top, left = round((new_height - wanted_height) / 2.0), round((new_width - wanted_width) / 2.0)
    return resized[top : top + wanted_height, left : left + wanted_width]


def _nearest(pixels: np.ndarray, width: int, height: int, box: tuple[float, float, float, float]) -> np.ndarray:
    def places(first: float, last: float, size: int) -> list[int]:
        step = (last - first) / size
        place, found = first + step * 0.5, []
        for _ in range(size):
            found.append(math.floor(place))
            place += step
        return found

    return pixels[np.ix_(places(box[1], box[3], height), places(box[0], box[2], width))]


def _antialiased(name: str) -> Resize:
    support = {"bilinear-antialiased": 1.0, "bicubic": 2.0, "lanczos": 3.0}[name]

    def weight(x: float) -> float:
        x = abs(x)
        if x >= support:
            return 0.0
        if support == 1.0:
            return 1.0 - x
        if support == 2.0:
            return (1.5 * x - 2.5) * x * x + 1 if x < 1.0 else (((x - 5) * x + 8) * x - 4) * -0.5
        return 1.0 if x == 0.0 else math.sin(x * math.pi) / (x * math.pi) * math.sin(x / 3 * math.pi) / (x / 3 * math.pi)

    def one_pass(values: np.ndarray, first: float, last: float, size: int) -> np.ndarray:
        """Along the first axis."""
        if size == len(values) and (first, last) == (0, size):
            return values
        start = np.float32(first)
        scale = float(np.float32(last) - start) / size
        wide = max(scale, 1.0)
        result = np.empty((size, *values.shape[1:]), np.uint8)
        for index in range(size):
            centre = float(start) + (index + 0.5) * scale
            begin = max(0, int(centre - support * wide + 0.5))
            end = min(len(values), int(centre + support * wide + 0.5))
            weights = np.array([weight((place - centre + 0.5) * (1.0 / wide)) for place in range(begin, end)])
            fixed = np.trunc(weights / weights.cumsum()[-1] * (1 << 22) + np.where(weights < 0, -0.5, 0.5)).astype(np.int64)
            total = (1 << 21) + np.tensordot(fixed, values[begin:end].astype(np.int64), 1)
            result[index] = np.clip(total >> 22, 0, 255)
        return result

    def resize(pixels: np.ndarray, width: int, height: int, box: tuple[float, float, float, float]) -> np.ndarray:
        lost_height, lost_width = pixels.shape[0] - height, pixels.shape[1] - width
        if lost_height > max(0, 2 * lost_width):
            pixels = one_pass(pixels, box[1], box[3], height)
            return one_pass(pixels.swapaxes(0, 1), box[0], box[2], width).swapaxes(0, 1)
        pixels = one_pass(pixels.swapaxes(0, 1), box[0], box[2], width).swapaxes(0, 1)
        return one_pass(pixels, box[1], box[3], height)

    return resize
