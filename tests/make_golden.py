"""The golden vectors: what every fit and filter makes of small pictures, for all languages that read the image contract.

`python tests/make_golden.py` writes tests/golden/ anew; the same pictures give the same bytes.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np

from edgecls.data.resize import fit_pixels
from edgecls.records.image_spec import Filter, ImageSpec

GOLDEN = Path(__file__).with_name("golden")
SOURCES = {  # height, width, channels
    "landscape": (48, 64, 3),
    "portrait": (61, 37, 3),
    "small": (20, 30, 3),
    "grey": (33, 33, 1),
    "pixel": (1, 1, 3),
    "square": (24, 24, 3),
    "tall": (40, 25, 3),
    "strip": (7, 90, 1),
    "large": (128, 96, 3),
    "grey-landscape": (31, 53, 1),
    "digit": (16, 16, 1),
}
SIZES = (  # source, height and width of the model
    ("landscape", 32, 32),
    ("portrait", 24, 24),
    ("small", 32, 32),
    ("grey", 17, 17),
    ("pixel", 5, 5),
    ("square", 24, 24),
    ("tall", 20, 30),
    ("strip", 16, 16),
    ("large", 9, 9),
    ("grey-landscape", 53, 31),
    ("digit", 28, 28),
    ("small", 1, 1),
)
FITS: tuple[dict[str, Any], ...] = ({"fit": "squeeze"}, {"fit": "crop"}, {"fit": "crop", "crop_share": 0.875}, {"fit": "pad"})
PAD_COLORS = ((0, 0, 0), (124, 117, 104))
NORMALISED = (  # height, width, channels, layout, preprocessing
    (2, 3, 3, "HWC", "0..255"),
    (2, 3, 3, "HWC", "0..1"),
    (2, 3, 3, "HWC", "-1..1"),
    (2, 3, 3, "HWC", "imagenet-torch"),
    (2, 3, 3, "HWC", "imagenet-caffe"),
    (2, 3, 3, "CHW", "imagenet-torch"),
    (2, 3, 3, "CHW", "imagenet-caffe"),
    (2, 2, 3, "flat", "scale=1/255,mean=0.5 0.4 0.3,std=0.25"),
    (3, 2, 1, "HWC", "0..1"),
    (3, 2, 1, "HW", "-1..1"),
    (3, 2, 1, "CHW", "scale=1/255,mean=0.1307,std=0.3081"),
    (3, 3, 1, "flat", "0..255"),
)


def golden_files() -> dict[str, bytes]:
    """Name -> content of every file of tests/golden/."""
    pictures = {name: draw(index, *shape) for index, (name, shape) in enumerate(SOURCES.items())}
    sources, source_bytes = _listed([{"name": name, **_shape(picture)} for name, picture in pictures.items()], pictures.values())
    specs = [
        (name, spec_for(fit, kind, height, width, SOURCES[name][2], PAD_COLORS[index % 2]))
        for (index, (name, height, width)), fit, kind in itertools.product(enumerate(SIZES), FITS, get_args(Filter))
    ]
    cases, pixel_bytes = _listed(
        [
            {
                "source": list(SOURCES).index(name),
                **spec.model_dump(mode="json", include={"fit", "crop_share", "pad_color", "filter", "height", "width"}),
            }
            for name, spec in specs
        ],
        [fit_pixels(pictures[name], spec) for name, spec in specs],
    )
    return {
        "vectors.json": _lines({"schema_version": 1, "sources": sources, "cases": cases}),
        "sources.bin": source_bytes,
        "pixels.bin": pixel_bytes,
        "normalisation.json": _lines(
            {"schema_version": 1, "cases": [_normalised(index, *case) for index, case in enumerate(NORMALISED)]}
        ),
    }


def spec_for(fit: dict[str, Any], kind: str, height: int, width: int, channels: int, pad_color: tuple[int, ...]) -> ImageSpec:
    """The spec of one case."""
    color = {"pad_color": pad_color} if fit["fit"] == "pad" else {}
    order = "GRAY" if channels == 1 else "RGB"
    return ImageSpec.model_validate(
        {"height": height, "width": width, "channels": channels, "color_order": order, "filter": kind, **fit, **color}
    )


def draw(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """A picture with what tells filters apart: slopes, hard edges (black beside white, where filters overshoot) and noise."""
    generator = np.random.default_rng(seed)
    rows, columns, colours = np.mgrid[0:height, 0:width, 0:channels]
    slope = (rows * (5 + colours) + columns * (7 - 2 * colours)) % 256
    checks = np.where((rows // 5 + columns // 3) % 2, 255, 0)
    noise = generator.integers(0, 256, (height, width, channels))
    part = (rows + 2 * columns) * 3 // (height + 2 * width)  # a third each, cut askew
    return np.choose(part, [slope, checks, noise]).astype(np.uint8)


def _shape(picture: np.ndarray) -> dict[str, int]:
    return dict(zip(("height", "width", "channels"), picture.shape, strict=True))


def _listed(entries: list[dict[str, Any]], arrays: Any) -> tuple[list[dict[str, Any]], bytes]:
    """The entries with the place of their pixels, and all pixels one after another."""
    parts = [array.tobytes() for array in arrays]
    offsets = itertools.accumulate((len(part) for part in parts), initial=0)
    listed = [
        {**entry, "offset": offset, "size_bytes": len(part)} for entry, offset, part in zip(entries, offsets, parts, strict=False)
    ]
    return listed, b"".join(parts)


def _normalised(seed: int, height: int, width: int, channels: int, layout: str, preprocess: str) -> dict[str, Any]:
    size = {"height": height, "width": width, "channels": channels, "layout": layout}
    spec = ImageSpec.model_validate(size).with_preprocess(preprocess)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)
    pixels.flat[:2] = 0, 255
    return {
        "spec": spec.model_dump(mode="json"),
        "pixels": pixels.ravel().tolist(),
        "inputs": [float(f"{value:.9g}") for value in spec.apply(pixels[None]).ravel()],
    }


def _lines(content: dict[str, Any]) -> bytes:
    """JSON with an entry a line, so that a change can be read."""
    parts = [
        f'"{key}": [\n' + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
        if isinstance(value, list)
        else f'"{key}": {json.dumps(value)}'
        for key, value in content.items()
    ]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, content in golden_files().items():
        (GOLDEN / name).write_bytes(content)
