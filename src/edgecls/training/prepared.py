"""What a base was trained to see, made of pixels inside the new model, so that these enter it as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecls.errors import UnsupportedModelError
from edgecls.records.image_spec import ImageSpec
from edgecls.system.extras import require


def prepared(pixels: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """(pixel - mean) / std of Keras tensors [N, H, W, C]; mean and std for all channels, or one for each in their order."""
    if not np.any(mean) and np.all(np.asarray(std) == 1):
        return pixels
    scale, offset = (
        [1 / value for value in std],
        [-center / value for center, value in zip(*np.broadcast_arrays(mean, std), strict=True)],
    )
    if len(scale) == len(offset) == 1:
        return require("keras").layers.Rescaling(scale[0], float(offset[0]))(pixels)
    return require("keras").layers.Rescaling(scale, [float(value) for value in offset])(pixels)


def rgb_order(spec: ImageSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of a spec for red, green, blue, whatever its own order."""
    turned = -1 if spec.color_order == "BGR" else 1
    return spec.mean[::turned], spec.std[::turned]


def take_rgb(layers: Sequence[Any]) -> None:
    """Make layers that were trained on blue, green, red take red, green, blue: the first kernel's inputs are turned round.

    Raises:
        UnsupportedModelError: the first layer with weights is no convolution of the image.
    """
    keras = require("keras")
    first: Any = next((layer for layer in layers if layer.weights), None)
    if first is None or not isinstance(first, keras.layers.Conv2D) or first.kernel.shape[2] != 3:
        found = "none with weights" if first is None else f"{type(first).__name__} {first.name!r}"
        raise UnsupportedModelError(
            "a base whose first layer is a convolution, since it takes blue first", found, "give another base"
        )
    kernel, *rest = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], *rest])
