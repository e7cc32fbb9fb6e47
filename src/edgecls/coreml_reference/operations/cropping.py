"""Patches cut out of images and resized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, entry
from edgecls.coreml_reference.operations.shaping import never

_MODES = ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")
_ALIGNED = ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS")
_COORDINATES = ("CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST")


@dataclass(frozen=True)
class _Samples:
    """Where the values of one axis are taken from, for each box: [boxes, count].

    Attributes:
        low, high: the neighbours of each point.
        share: of the higher neighbour.
        inside: whether the point is in the image.
    """

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    inside: np.ndarray


def _crop_resize(call: Call) -> str:
    """Every box of constant corners, sampled linearly on a grid from corner to corner; a grid of one point takes the middle."""
    mode = call.choice("sampling_mode", _MODES, "DEFAULT")
    if mode not in _ALIGNED:
        raise call.unsupported(f"with sampling_mode {mode}, whose grid within a box MIL does not define")
    batch, channels, height, width = call.shape("x")
    boxes, images = _boxes(call, batch)
    corners = _corners(call, boxes.astype(np.float64), height, width)
    middle = mode == "ALIGN_CORNERS"
    rows = _samples(corners[:, 0], corners[:, 2], call.integer("target_height", 1), height, middle)
    columns = _samples(corners[:, 1], corners[:, 3], call.integer("target_width", 1), width, middle)
    flat = call.graph.node("Transpose", call.tensor("x"), perm=[1, 0, 2, 3])
    flat = call.graph.node("Reshape", flat, call.graph.constant([channels, batch * height * width], np.int64))
    result = ""
    for at_row, row_share in ((rows.low, 1 - rows.share), (rows.high, rows.share)):
        for at_column, column_share in ((columns.low, 1 - columns.share), (columns.high, columns.share)):
            share = row_share[:, :, None] * column_share[:, None, :]
            if not share.any():
                continue
            places = (images[:, None, None] * height + at_row[:, :, None]) * width + at_column[:, None, :]
            taken = call.graph.node("Gather", flat, call.graph.constant(places, np.int64), axis=1)
            part = taken if (share == 1).all() else call.graph.node("Mul", taken, call.graph.constant(share, np.float32))
            result = call.graph.node("Add", result, part) if result else part
    inside = rows.inside[:, :, None] & columns.inside[:, None, :]
    if not inside.all():
        result = call.graph.node("Where", call.graph.constant(inside), result, call.scalar(call.number("pad_value"), "x"))
    by_box = call.graph.node("Transpose", result, perm=[1, 0, 2, 3])
    if call.has("boxes"):
        return by_box
    shape = [call.shape("roi")[0], -1, channels, *rows.low.shape[1:], *columns.low.shape[1:]]
    return call.graph.node("Reshape", by_box, call.graph.constant(shape, np.int64))


def _boxes(call: Call, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """[boxes, 4] and the image of each; up to iOS 16 `roi` holds both, or boxes for every image."""
    if call.has("boxes"):
        boxes = np.asarray(call.constant("boxes"))
        return boxes, np.asarray(call.constant("box_indices", np.arange(len(boxes)))).astype(np.int64)
    roi = np.asarray(call.constant("roi"))
    roi = roi.reshape(roi.shape[0], roi.shape[2])
    if roi.shape[1] == 5:
        return roi[:, 1:], roi[:, 0].astype(np.int64)
    return np.repeat(roi, batch, axis=0), np.tile(np.arange(batch), len(roi))


def _corners(call: Call, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """[boxes, 4]: top, left, bottom, right, in pixels."""
    how = call.choice("box_coordinate_mode", _COORDINATES, _COORDINATES[0])
    boxes = boxes[:, [1, 0, 3, 2]] if "WIDTH_FIRST" in how else boxes
    if how.startswith("CENTER"):
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    boxes = boxes * call.number("spatial_scale", 1.0)
    return boxes * ([height - 1, width - 1] * 2) if call.flag("normalized_coordinates") else boxes


def _samples(first: np.ndarray, last: np.ndarray, count: int, size: int, middle: bool) -> _Samples:
    steps = np.arange(count) / (count - 1) if count > 1 else np.array([0.5 if middle else 0.0])
    points = first[:, None] + (last - first)[:, None] * steps
    within = np.clip(points, 0, size - 1)
    low = np.floor(within).astype(np.int64)
    return _Samples(low, np.minimum(low + 1, size - 1), within - low, (points >= 0) & (points <= size - 1))


ENTRIES: dict[str, Entry] = {
    "crop_resize": entry(
        _crop_resize,
        "x roi boxes box_indices target_height target_width normalized_coordinates spatial_scale box_coordinate_mode"
        " sampling_mode pad_value",
        never,
    ),
}
