"""An encoded picture to its pixels inside a TensorFlow graph, by the rules of docs/image-contract.md: decoded, turned, grey or RGB."""

from __future__ import annotations

from typing import Any

from edgecls.system.extras import require

_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH_AND_KIND, _GREY_16 = (24, 2), b"\x10\x00"  # place and length in a PNG's header; 16 bits, grey
_HEAD = 1 << 16  # bytes in which a JPEG's EXIF lies: it is the first segment, or the one behind JFIF's
_MARK = b"Exif\0\0"
_ORIENTATION, _MOST_ENTRIES = 0x0112, 256


def decode(content: Any) -> Any:
    """The pixels [H, W, 3], int32, 0..255, of a JPEG or PNG in a string tensor, turned as its EXIF says.

    What is neither ends the graph with an InvalidArgumentError. JPEG is decoded as libjpeg's slow integer transform does, which Pillow
    uses too.
    """
    tf = require("tensorflow")
    is_jpeg = tf.io.is_jpeg(content)
    known = tf.logical_or(is_jpeg, tf.equal(tf.strings.substr(content, 0, len(_PNG)), _PNG))
    with tf.control_dependencies([tf.debugging.Assert(known, ["expected a JPEG or PNG file"])]):
        pixels = tf.cond(
            is_jpeg,
            lambda: tf.cast(tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"), tf.int32),
            lambda: _png(content),
        )
    orientation = tf.cond(is_jpeg, lambda: exif_orientation(content), lambda: tf.constant(1))
    return turned(pixels, orientation)


def _png(content: Any) -> Any:
    """16-bit grey is rounded to 8 bits; 16-bit colours lose their low byte, as the contract has it."""
    tf = require("tensorflow")
    return tf.cond(
        tf.equal(tf.strings.substr(content, *_DEPTH_AND_KIND), _GREY_16),
        lambda: (tf.cast(tf.io.decode_png(content, channels=3, dtype=tf.uint16), tf.int32) * 255 + 32767) // 65535,
        lambda: tf.cast(tf.io.decode_png(content, channels=3), tf.int32),
    )


def turned(pixels: Any, orientation: Any) -> Any:
    """Pixels [H, W, C] as an EXIF orientation 1..8 says that they are to be seen."""
    tf = require("tensorflow")

    def among(*orientations: int) -> Any:
        return tf.reduce_any(tf.equal(orientation, list(orientations)))

    pixels = tf.cond(among(5, 6, 7, 8), lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    pixels = tf.cond(among(3, 4, 7, 8), lambda: pixels[::-1], lambda: pixels)
    return tf.cond(among(2, 3, 6, 7), lambda: pixels[:, ::-1], lambda: pixels)


def exif_orientation(content: Any) -> Any:
    """The orientation that a JPEG's EXIF gives, int32; 1 where it gives none."""
    tf = require("tensorflow")
    head = tf.cast(
        tf.io.decode_raw(tf.strings.substr(content, 0, tf.minimum(tf.strings.length(content), _HEAD)), tf.uint8), tf.int32
    )
    size = tf.size(head)
    starts = tf.maximum(size - len(_MARK) - 4, 0)
    here = tf.logical_and(tf.equal(head[:starts], 0xFF), tf.equal(head[1 : starts + 1], 0xE1))
    for offset, byte in enumerate(_MARK, 4):  # marker, two bytes of length, then the mark
        here = tf.logical_and(here, tf.equal(head[offset : starts + offset], byte))
    found = tf.where(here)[:, 0]
    return tf.cond(
        tf.size(found) > 0, lambda: _in_tiff(head, tf.cast(found[0], tf.int32) + 4 + len(_MARK)), lambda: tf.constant(1)
    )


def _in_tiff(head: Any, base: Any) -> Any:
    """The orientation in the first directory of the TIFF structure that begins at `base`."""
    tf = require("tensorflow")
    little = tf.equal(head[tf.minimum(base, tf.size(head) - 1)], ord("I"))

    def number(places: Any, length: int) -> Any:
        values = tf.gather(head, tf.clip_by_value(places[..., None] + tf.range(length), 0, tf.size(head) - 1))
        factors = tf.constant([256**step for step in range(length)], tf.int64)
        total = tf.reduce_sum(tf.cast(values, tf.int64) * tf.where(little, factors, factors[::-1]), axis=-1)
        return tf.cast(tf.minimum(total, _HEAD), tf.int32)  # what is larger leads out of the head

    directory = base + number(base + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.clip_by_value(number(directory, 2), 0, _MOST_ENTRIES))
    chosen = tf.boolean_mask(entries, tf.equal(number(entries, 2), _ORIENTATION))[:1]
    value = tf.reduce_sum(number(chosen + 8, 2))
    return tf.where(tf.logical_and(value >= 1, value <= 8), value, 1)
