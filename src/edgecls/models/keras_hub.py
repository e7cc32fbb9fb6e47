"""KerasHub: classifiers of an installed library's classes, and the image converter that they carry.

Keras reads the classes of this library in its safe mode, from the modules that a file names. The converter of a classifier's preprocessor
is in the file, but not in the graph: `predict` applies it before the model computes.
"""

from __future__ import annotations

import importlib.util
import math
import re
from typing import Any

from edgecls.records.image_spec import Filter, Fit, ImageSpec

PIP_NAME = "keras-hub"
_PACKAGES = ("keras_hub", "keras_nlp", "keras_cv")  # under which its classes are registered
_MODULE = re.compile(r"keras_hub\.src\.(models|layers)(\.\w+)*")
_CLASS = re.compile(r"[A-Z]\w*")
_PARTS = ("Backbone", "Classifier", "Preprocessor", "Converter")  # of a classifier, beside layers
_FILTERS: dict[tuple[Any, bool], Filter] = {
    ("nearest", False): "nearest",
    ("nearest", True): "nearest",
    ("bilinear", False): "bilinear",
    ("bilinear", True): "bilinear-antialiased",
    ("bicubic", True): "bicubic",
    ("lanczos3", True): "lanczos",
}


def is_part(item: dict[str, Any]) -> bool:
    """Whether an object of an architecture is a layer or a part of a classifier of the library, under its own name.

    Tokenizers, which read files, are none. Keras goes by the registered name before it goes by class and module.
    """
    module, name, registered = str(item.get("module")), str(item.get("class_name")), item.get("registered_name")
    own = (None, name, *(f"{package}>{name}" for package in _PACKAGES))
    kind = _MODULE.fullmatch(module)
    wanted = kind is not None and (kind[1] == "layers" or name.endswith(_PARTS))
    return wanted and _CLASS.fullmatch(name) is not None and "Tokenizer" not in name and registered in own


def names_library(name: Any) -> bool:
    """Whether a name is one that the library registers, as `keras_hub>ResNetBackbone`."""
    return isinstance(name, str) and name.startswith(tuple(f"{package}>" for package in _PACKAGES))


def is_installed() -> bool:
    """Whether the library is here; it is not imported."""
    found = importlib.util.find_spec("keras_hub")
    return found is not None and found.origin is not None


def converter_of(config: Any) -> dict[str, Any] | None:
    """What a classifier's own preprocessor says of its image converter; None where the model is another or has none."""
    preprocessor = _inner(config).get("preprocessor")
    return _inner(preprocessor if _is_converter(preprocessor) else _inner(preprocessor).get("image_converter")) or None


def input_size(converter: dict[str, Any]) -> str | None:
    """Height x width to which a converter brings images, as `--input-size` takes it."""
    size = converter.get("image_size")
    sides = size if isinstance(size, list | tuple) and all(isinstance(side, int) for side in size) else ()
    return "x".join(map(str, sides)) if len(sides) == 2 else None


def image_spec(base: ImageSpec, converter: dict[str, Any]) -> tuple[ImageSpec, str]:
    """A spec with preprocessing, fit and filter of a converter, which computes pixel * scale + offset, and what to say of it.

    Where it computes something else the spec stays as it is.
    """
    scale, offset = _numbers(converter.get("scale"), 1.0), _numbers(converter.get("offset"), 0.0)
    older = any(converter.get(name) is not None for name in ("mean", "variance", "height", "width"))
    fits = len(scale) in (1, base.channels) and len(offset) in (1, base.channels) and "scale" in converter
    if older or not fits or any(abs(factor) < 1e-9 for factor in scale):
        return base, "the image converter in the file is not taken: it does not compute pixel * scale + offset"
    count = max(len(scale), len(offset))
    pairs = list(zip(scale * (count // len(scale)), offset * (count // len(offset)), strict=True))
    made: dict[str, Any] = {
        "mean": tuple(-shift / factor for factor, shift in pairs),
        "std": tuple(1 / factor for factor, _ in pairs),
        "color_order": {1: "GRAY", 3: "RGB"}.get(base.channels, "OTHER"),
        "provenance": "declared",
        "note": "Preprocessing as the model's own image converter computes it.",
    }
    said = "preprocessing is that of the image converter in the file"
    if input_size(converter) is not None:
        crops, pads = converter.get("crop_to_aspect_ratio", True), converter.get("pad_to_aspect_ratio", False)
        fit: Fit = "crop" if crops else "pad" if pads else "squeeze"
        made |= {"fit": fit, "crop_share": None, "pad_color": (0, 0, 0), "fit_provenance": "declared"}
        way = str(converter.get("interpolation", "bilinear")), bool(converter.get("antialias"))
        if way in _FILTERS:
            made |= {"filter": _FILTERS[way], "filter_provenance": "declared"}
        else:
            said += f", but for its interpolation ({way[0]}{'' if way[1] else ' without antialiasing'}), which is no filter here"
    return ImageSpec.model_validate({**base.model_dump(), **made}), said


def _is_converter(item: Any) -> bool:
    return isinstance(item, dict) and str(item.get("class_name")).endswith("ImageConverter")


def _inner(item: Any) -> dict[str, Any]:
    """The config of an object; empty where there is none."""
    inner = item.get("config") if isinstance(item, dict) else None
    return inner if isinstance(inner, dict) else {}


def _numbers(value: Any, default: float) -> tuple[float, ...]:
    """One or several numbers; empty where they are none, or larger than any image has."""
    values = value if isinstance(value, list | tuple) else [default if value is None else value]
    are_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e9 for one in values)
    return tuple(map(float, values)) if are_numbers and all(math.isfinite(one) for one in values) else ()
