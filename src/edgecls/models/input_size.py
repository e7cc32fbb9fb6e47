"""The size of images, given for a model that leaves it open."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from edgecls.errors import InputError, UnsupportedModelError
from edgecls.models.computation import Computation, Shape
from edgecls.models.input_spec import has_channels_first, image_shape
from edgecls.models.keras_model import cause_of, load_errors
from edgecls.system.extras import require

_SIZE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")


def with_input_size(computation: Computation, text: str) -> Computation:
    """The computation of images of one size.

    Args:
        text: height x width in pixels, as `224x224`.

    Raises:
        InputError: no such size, or the model has another one.
        UnsupportedModelError: the model computes no scores of images of this size.
    """
    size, shape = _parse(text), computation.input_shape
    if None not in shape:
        _refuse_another(size, shape, text)
        return computation
    if len(shape) not in (2, 3) or has_channels_first(shape):
        return (
            computation  # nothing tells which axes are height and width, or the scores at a size: channels first no CPU computes
        )
    if any(fixed not in (None, asked) for asked, fixed in zip(size, shape, strict=False)):
        raise InputError(
            f"an --input-size within the model's input shape {list(shape)}", repr(text), "give its fixed side as it is"
        )
    sized = replace(computation, input_shape=(*size, *shape[2:]))
    return sized if None in sized.input_shape else replace(sized, outputs=_outputs(sized, text))


def _parse(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if not found:
        raise InputError(
            "--input-size HEIGHTxWIDTH, each a number of pixels from 1 to 9999", repr(text), "write it as --input-size 224x224"
        )
    return int(found[1]), int(found[2])


def _refuse_another(size: tuple[int, int], shape: Shape, text: str) -> None:
    height, width, *_ = image_shape(shape)
    if size != (height, width):
        raise InputError(
            f"images of {height}x{width}, the size that the model is built for", f"--input-size {text}", "leave --input-size out"
        )


def _outputs(computation: Computation, text: str) -> dict[str, Shape]:
    """Shapes of what the model makes of one image, whose size may be too small for its layers."""
    tf = require("tensorflow")
    shape = (computation.batch or 1, *computation.input_shape)
    pixels = np.random.default_rng(0).uniform(0, 1, tuple(size or 1 for size in shape))  # all are known by now
    try:
        results = [np.asarray(result) for result in computation.call(tf.cast(pixels, computation.input_dtype))]
    except load_errors() as error:
        raise _not_taken(text, f"{type(error).__name__}: {cause_of(error)}") from error
    if not all(np.all(np.isfinite(result)) for result in results if result.dtype.kind == "f"):
        raise _not_taken(text, "scores that are no numbers, as where layers leave no pixel of an image")
    return {name: result.shape[1:] for name, result in zip(computation.outputs, results, strict=True)}


def _not_taken(text: str, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        "an --input-size that the model can take", f"{text}, where it ends in {reason}", "give the size that it was trained with"
    )
