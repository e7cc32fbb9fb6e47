"""KerasHub and KerasCV: classifiers of an installed library's classes, and the image converter that they carry.

Keras reads the classes of these two in its safe mode, from the modules that a file names. The converter is in the file, but not in the
graph: `model.predict` of a KerasHub classifier applies it before the model computes.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from edgecls.models.config import objects
from edgecls.records.image_spec import Filter, Fit, ImageSpec

_INSTALLED_AS = {"keras_hub": "keras-hub", "keras_cv": "keras-cv"}
_MODULES = re.compile(r"(keras_hub|keras_cv)\.src\.(models|layers)(\.(?!\w*tokenizer)\w+)*")  # tokenizers read files
_FILTERS: dict[tuple[Any, Any], Filter] = {
    ("nearest", False): "nearest",
    ("bilinear", False): "bilinear",
    ("bilinear", True): "bilinear-antialiased",
    ("bicubic", True): "bicubic",
    ("lanczos3", True): "lanczos",
}


def library_of(module: str) -> str | None:
    """Name under which pip knows the library of a module with layers or models; None for other modules."""
    found = _MODULES.fullmatch(module)
    return _INSTALLED_AS[found[1]] if found else None


def is_installed(module: str) -> bool:
    """Whether the library of a module is here; it is not imported."""
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def converter_of(config: Any) -> dict[str, Any] | None:
    """What an architecture says of its image converter; None where it has none."""
    for _, item in objects(config):
        is_converter = str(item.get("class_name")).endswith("ImageConverter") and library_of(str(item.get("module")))
        if is_converter and isinstance(item.get("config"), dict):
            return item["config"]
    return None


def input_size(converter: dict[str, Any]) -> str | None:
    """Height x width to which a converter brings images, as `--input-size` takes it."""
    size = converter.get("image_size")
    return "x".join(map(str, size)) if isinstance(size, list | tuple) and len(size) == 2 else None


def image_spec(base: ImageSpec, converter: dict[str, Any]) -> ImageSpec | None:
    """A spec with preprocessing, fit and filter of a converter, which computes pixel * scale + offset; None where no spec can say it."""
    scale, offset = _numbers(converter.get("scale"), 1.0), _numbers(converter.get("offset"), 0.0)
    if {len(scale), len(offset)} - {1, base.channels} or 0 in scale:
        return None
    count = max(len(scale), len(offset))
    pairs = list(zip(scale * (count // len(scale)), offset * (count // len(offset)), strict=True))
    made: dict[str, Any] = {
        "mean": tuple(-shift / factor for factor, shift in pairs),
        "std": tuple(1 / factor for factor, _ in pairs),
        "provenance": "declared",
        "note": "Preprocessing as the model's own image converter computes it.",
    }
    if input_size(converter) is not None:
        fit: Fit = (
            "crop" if converter.get("crop_to_aspect_ratio") else "pad" if converter.get("pad_to_aspect_ratio") else "squeeze"
        )
        made |= {"fit": fit, "fit_provenance": "declared"}
        if found := _FILTERS.get((converter.get("interpolation"), bool(converter.get("antialias")))):
            made |= {"filter": found, "filter_provenance": "declared"}
    return ImageSpec.model_validate({**base.model_dump(), **made})


def _numbers(value: Any, default: float) -> tuple[float, ...]:
    values = value if isinstance(value, list | tuple) else [default if value is None else value]
    return tuple(float(one) for one in values) if all(isinstance(one, int | float) for one in values) else ()
