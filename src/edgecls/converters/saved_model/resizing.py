"""Fit and filter of the image contract inside a TensorFlow graph: the same whole levels that `data.resize` computes.

Sizes are known when a picture is there, so places and weights are tensors; numbers are float64 where the contract says doubles. Sums of
weights times pixels are whole numbers below 2**53, which float64 holds whatever the order in which they are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgecls.records.image_spec import Filter, ImageSpec
from edgecls.system.extras import require

_BITS = 22  # of a weight behind the point
_SUPPORT: dict[Filter, float] = {"bilinear-antialiased": 1.0, "bicubic": 2.0, "lanczos": 3.0}
_BICUBIC = -0.5


@dataclass(frozen=True)
class Axis:
    """One axis of a placement: from `start` to `end` (float64) of the picture's `size` pixels to `new`, which lie at `offset` (int32)."""

    size: Any
    start: Any
    end: Any
    new: Any
    offset: Any


def fit_pixels(pixels: Any, spec: ImageSpec) -> Any:
    """Pixels [h, w, C], int32, as [height, width, C], float32, whole levels, in the size of `spec`."""
    tf = require("tensorflow")
    rows, columns = _place(tf.shape(pixels)[0], tf.shape(pixels)[1], spec)
    if spec.filter == "nearest":
        values = tf.gather(tf.gather(pixels, _nearest(rows), axis=0), _nearest(columns), axis=1)
    elif spec.filter == "bilinear":
        values = _bilinear(pixels, rows, columns)
    else:
        values = _antialiased(pixels, rows, columns, spec.filter)
    return _placed(tf.cast(values, tf.float32), rows, columns, spec)


def _place(height: Any, width: Any, spec: ImageSpec) -> tuple[Axis, Axis]:
    """As `data.resize.place`: rows and columns."""
    tf = require("tensorflow")
    h, w = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    zero = tf.constant(0, tf.int32)
    whole = (tf.constant(0.0, tf.float64), h), (tf.constant(0.0, tf.float64), w)

    def axes(boxes: Any, new: Any, offsets: Any = (zero, zero)) -> tuple[Axis, Axis]:
        rows, columns = (
            Axis(size, start, end, tf.cast(length, tf.int32), tf.cast(offset, tf.int32))
            for size, (start, end), length, offset in zip((height, width), boxes, new, offsets, strict=True)
        )
        return rows, columns

    def rounded(value: Any) -> Any:  # halves to even, as Python's round
        return tf.cast(tf.round(value), tf.int32)

    aspect = spec.width / spec.height
    if spec.fit == "pad":
        new_height = tf.where(w / h > aspect, tf.maximum(rounded(h / w * spec.width), 1), spec.height)
        new_width = tf.where(w / h < aspect, tf.maximum(rounded(w / h * spec.height), 1), spec.width)
        left = [
            rounded(tf.cast(size - new, tf.float64) * 0.5) for size, new in ((spec.height, new_height), (spec.width, new_width))
        ]
        return axes(whole, (new_height, new_width), left)
    if spec.fit == "crop" and spec.crop_share is not None:
        wanted_width, wanted_height = round(spec.width / spec.crop_share), round(spec.height / spec.crop_share)
        by_width = wanted_width * tf.cast(height, tf.int64) >= wanted_height * tf.cast(width, tf.int64)
        long_height, long_width = (tf.cast(value, tf.int32) for value in (wanted_width * h / w, wanted_height * w / h))
        new_height = tf.where(by_width, tf.maximum(spec.height, long_height), wanted_height)
        new_width = tf.where(by_width, wanted_width, tf.maximum(spec.width, long_width))
        offsets = [
            -rounded(tf.cast(new - size, tf.float64) / 2.0) for size, new in ((spec.height, new_height), (spec.width, new_width))
        ]
        return axes(whole, (new_height, new_width), offsets)
    boxes = _largest_part(h, w, spec) if spec.fit == "crop" else whole
    return axes(boxes, (spec.height, spec.width))


def _largest_part(h: Any, w: Any, spec: ImageSpec) -> Any:
    tf = require("tensorflow")
    if spec.filter in _SUPPORT:
        aspect = spec.width / spec.height
        part_width, part_height = tf.where(w / h > aspect, aspect * h, w), tf.where(w / h < aspect, w / aspect, h)
        left, top = (w - part_width) * 0.5, (h - part_height) * 0.5
    else:
        part_width = tf.maximum(tf.minimum(w, tf.floor(h * spec.width / spec.height)), 1.0)
        part_height = tf.maximum(tf.minimum(h, tf.floor(w * spec.height / spec.width)), 1.0)
        left, top = tf.floor((w - part_width) / 2), tf.floor((h - part_height) / 2)
    return (top, top + part_height), (left, left + part_width)


def _nearest(axis: Axis) -> Any:
    """Indices [new] of the pixels that are taken: the step is added again and again, as Pillow does."""
    tf = require("tensorflow")
    step = (axis.end - axis.start) / tf.cast(axis.new, tf.float64)
    steps = tf.concat([[axis.start + step * 0.5], tf.fill([axis.new - 1], step)], axis=0)
    return tf.clip_by_value(tf.cast(tf.floor(tf.cumsum(steps)), tf.int32), 0, axis.size - 1)


def _bilinear(pixels: Any, rows: Axis, columns: Axis) -> Any:
    """TensorFlow's own, on the whole pixels of the box; rounded, halves to even."""
    tf = require("tensorflow")
    (top, bottom), (left, right) = ((tf.cast(axis.start, tf.int32), tf.cast(axis.end, tf.int32)) for axis in (rows, columns))
    values = tf.raw_ops.ResizeBilinear(
        images=tf.cast(pixels[None, top:bottom, left:right], tf.float32),
        size=tf.stack([rows.new, columns.new]),
        half_pixel_centers=True,
    )
    return tf.round(values[0])


def _antialiased(pixels: Any, rows: Axis, columns: Axis, kind: Filter) -> Any:
    """Pillow's two passes, the vertical one first where a picture loses much height (see `data.resize`)."""
    tf = require("tensorflow")

    def vertical(values: Any) -> Any:
        return _pass(values, rows, kind)

    def horizontal(values: Any) -> Any:
        return tf.transpose(_pass(tf.transpose(values, (1, 0, 2)), columns, kind), (1, 0, 2))

    lost_height, lost_width = rows.size - rows.new, columns.size - columns.new
    values = tf.cast(pixels, tf.float64)
    return tf.cond(
        lost_height > tf.maximum(0, 2 * lost_width), lambda: horizontal(vertical(values)), lambda: vertical(horizontal(values))
    )


def _pass(values: Any, axis: Axis, kind: Filter) -> Any:
    """Values [size, m, C], whole levels as float64, resampled along the first axis to [new, m, C]."""
    tf = require("tensorflow")
    places, weights, known = _weights(axis, kind)
    lines = tf.broadcast_to(tf.range(axis.new)[:, None], tf.shape(places))
    indices = tf.cast(tf.stack([tf.boolean_mask(lines, known), tf.boolean_mask(places, known)], axis=1), tf.int64)
    matrix = tf.SparseTensor(indices, tf.boolean_mask(weights, known), tf.cast(tf.stack([axis.new, axis.size]), tf.int64))
    shape = tf.shape(values)
    sums = tf.sparse.sparse_dense_matmul(matrix, tf.reshape(values, (shape[0], -1)))
    levels = tf.clip_by_value(tf.floor((sums + 2.0 ** (_BITS - 1)) / 2.0**_BITS), 0.0, 255.0)
    return tf.reshape(levels, (axis.new, shape[1], shape[2]))


def _weights(axis: Axis, kind: Filter) -> tuple[Any, Any, Any]:
    """Of each new pixel the places it is made of [new, most], their weights as whole numbers, and which of them there are."""
    tf = require("tensorflow")
    start, end = (tf.cast(value, tf.float32) for value in (axis.start, axis.end))  # Pillow's box is of float32
    scale = tf.cast(end - start, tf.float64) / tf.cast(axis.new, tf.float64)
    wide = tf.maximum(scale, 1.0)
    support, squeeze = _SUPPORT[kind] * wide, 1.0 / wide
    centre = tf.cast(start, tf.float64) + (tf.range(tf.cast(axis.new, tf.float64), dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - support + 0.5, tf.int32), 0)  # a cast drops the fraction
    last = tf.minimum(tf.cast(centre + support + 0.5, tf.int32), axis.size)
    places = first[:, None] + tf.range(tf.reduce_max(last - first))
    known = places < last[:, None]
    values = _FILTERS[kind]((tf.cast(places, tf.float64) - centre[:, None] + 0.5) * squeeze)
    values = tf.where(known, values, tf.zeros_like(values))
    shares = values / tf.cumsum(values, axis=1)[:, -1:]  # one after another: the order in which doubles are added shows
    scaled = shares * 2.0**_BITS
    half = 0.5 * tf.where(scaled < 0, -tf.ones_like(scaled), tf.ones_like(scaled))
    return places, tf.cast(tf.cast(scaled + half, tf.int64), tf.float64), known


def _triangle(x: Any) -> Any:
    tf = require("tensorflow")
    return tf.maximum(1.0 - tf.abs(x), 0.0)


def _cubic(x: Any) -> Any:
    tf, a = require("tensorflow"), _BICUBIC
    x = tf.abs(x)
    near, far = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0, (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, tf.zeros_like(x)))


def _windowed_sinc(x: Any) -> Any:
    tf = require("tensorflow")
    return tf.where(tf.logical_and(x >= -3.0, x < 3.0), _sinc(x) * _sinc(x / 3.0), tf.zeros_like(x))


def _sinc(x: Any) -> Any:
    tf = require("tensorflow")
    angle = tf.where(tf.equal(x, 0.0), tf.ones_like(x), x * math.pi)
    return tf.where(tf.equal(x, 0.0), tf.ones_like(x), tf.sin(angle) / angle)


_FILTERS: dict[Filter, Callable[[Any], Any]] = {"bilinear-antialiased": _triangle, "bicubic": _cubic, "lanczos": _windowed_sinc}


def _placed(values: Any, rows: Axis, columns: Axis, spec: ImageSpec) -> Any:
    """What was resampled, at its place in the model's image, cut off or with the pad colour around it."""
    tf = require("tensorflow")
    ends = [(axis, size) for axis, size in ((rows, spec.height), (columns, spec.width))]
    (top, _), (left, _) = ((tf.maximum(0, -axis.offset), size) for axis, size in ends)
    seen = values[top : top + spec.height, left : left + spec.width]
    before = [tf.maximum(0, axis.offset) for axis, _ in ends]
    around = [(at, size - at - tf.shape(seen)[index]) for index, (at, (_, size)) in enumerate(zip(before, ends, strict=True))]
    color = tf.constant(spec.pad_values, tf.float32)
    padded = tf.pad(seen - color, [*around, (0, 0)]) + color  # whole numbers: nothing is lost
    return tf.ensure_shape(padded, (spec.height, spec.width, spec.channels))
