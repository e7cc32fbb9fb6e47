"""Encoded pictures to model inputs inside a TensorFlow graph: the whole image contract."""

from __future__ import annotations

from typing import Any

from edgecls.converters.saved_model.decoding import decode
from edgecls.converters.saved_model.resizing import fit_pixels
from edgecls.records.image_spec import ImageSpec
from edgecls.system.extras import require

CHANNELS = (1, 3)  # of models that picture files can feed


def model_inputs(contents: Any, spec: ImageSpec) -> Any:
    """Model inputs [N, *input_shape], float32, of N JPEG or PNG files in a string tensor."""
    tf = require("tensorflow")
    shape = tf.TensorSpec((spec.height, spec.width, spec.channels), tf.float32)
    return normalised(tf.map_fn(lambda content: pixels_of(content, spec), contents, fn_output_signature=shape), spec)


def pixels_of(content: Any, spec: ImageSpec) -> Any:
    """Pixels [height, width, channels], float32, whole levels, of one file."""
    tf = require("tensorflow")
    pixels = decode(content)
    if spec.channels == 1:
        red, green, blue = tf.unstack(pixels[..., None], num=3, axis=-2)
        pixels = (red * 19595 + green * 38470 + blue * 7471 + 32768) // 65536  # as records.image_spec.luma
    return fit_pixels(pixels, spec)


def normalised(pixels: Any, spec: ImageSpec) -> Any:
    """Pixels [N, H, W, C] as `ImageSpec.apply` makes model inputs of them."""
    tf = require("tensorflow")
    values = pixels[..., ::-1] if spec.color_order == "BGR" else pixels
    if (spec.mean, spec.std) != ((0.0,), (1.0,)):
        values = (values - tf.constant(spec.mean, tf.float32)) / tf.constant(spec.std, tf.float32)
    if spec.layout == "CHW":
        values = tf.transpose(values, (0, 3, 1, 2))
    return tf.reshape(values, (-1, *spec.input_shape))
