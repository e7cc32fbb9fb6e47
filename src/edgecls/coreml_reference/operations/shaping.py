"""Operations that move values without changing them: shapes, order of axes, padding, joining and cutting apart."""

from __future__ import annotations

import math

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, always, computed_dtype, entry
from edgecls.coreml_reference.graph import onnx_dtype

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def never(call: Call) -> bool:
    """The result does not have the images on its first axis."""
    return False


def _to_output_shape(call: Call, name: str = "x") -> str:
    """Lay the values out as the declared output shape; images on the first axis stay there, however many."""
    shape = list(call.output_shape())
    if call.per_image():
        shape[0] = -1
    return call.graph.node("Reshape", call.tensor(name), call.graph.constant(shape, np.int64))


def _reshape(call: Call) -> str:
    if call.is_computed("shape"):
        return call.graph.node("Reshape", call.tensor("x"), call.tensor("shape", np.int64))
    return _to_output_shape(call)


def _first_stays_one(call: Call) -> bool:
    """x and the result both have one image on their first axis, so each image is laid out by itself."""
    shape = call.operation.outputs[0].shape
    return call.per_image() == ["x"] and len(shape) > 0 and shape[0] == 1 and None not in shape


def _transpose(call: Call) -> str:
    return call.graph.node("Transpose", call.tensor("x"), perm=call.axes("perm", of="x"))


def _squeeze(call: Call) -> str:
    sizes = call.free_shape(call.argument("x"))
    axes = call.axes("axes", of="x") if call.has("axes") else [axis for axis, size in enumerate(sizes) if size == 1]
    return call.graph.node("Squeeze", call.tensor("x"), call.graph.constant(axes, np.int64))


def _squeeze_keeps_images(call: Call) -> bool:
    return call.has("axes") and 0 not in call.axes("axes", of="x")


def _new_axes(call: Call) -> list[int]:
    axes = call.integers("axes")
    return call.positive(axes, call.rank("x") + len(axes))


def _expand_dims(call: Call) -> str:
    return call.graph.node("Unsqueeze", call.tensor("x"), call.graph.constant(_new_axes(call), np.int64))


def _concat(call: Call) -> str:
    if not call.free_shape(call.items("values")[0]):  # single numbers become a vector
        return _stack(call)
    axis = _joined_axis(call)
    if not call.flag("interleave"):
        return call.graph.node("Concat", *call.tensors("values"), axis=axis)
    # side by side on an axis of their own behind `axis`, which then takes turns
    behind = call.graph.constant([axis + 1], np.int64)
    parts = [call.graph.node("Unsqueeze", value, behind) for value in call.tensors("values")]
    joined = call.graph.node("Concat", *parts, axis=axis + 1)
    shape = list(call.output_shape())
    if call.per_image():
        shape[0] = -1
    return call.graph.node("Reshape", joined, call.graph.constant(shape, np.int64))


def _joined_axis(call: Call) -> int:
    return call.positive([call.integer("axis")], len(call.free_shape(call.items("values")[0])))[0]


def _all_per_image(call: Call) -> bool:
    return all(call.is_per_image(item) for item in call.items("values"))


def _stack(call: Call) -> str:
    axis = _stacked_axis(call)
    new = call.graph.constant([axis], np.int64)
    return call.graph.node("Concat", *[call.graph.node("Unsqueeze", value, new) for value in call.tensors("values")], axis=axis)


def _stacked_axis(call: Call) -> int:
    return call.positive([call.integer("axis")], len(call.free_shape(call.items("values")[0])) + 1)[0]


def _split(call: Call) -> list[str]:
    axis = call.axis("axis", of="x")
    count = len(call.operation.outputs)
    sizes = [call.output_shape(index)[axis] for index in range(count)]
    if call.has("split_sizes") and call.integers("split_sizes") != sizes:
        raise call.unsupported(f"with results of the sizes {sizes}")
    return call.graph.nodes("Split", call.tensor("x"), call.graph.constant(sizes, np.int64), count=count, axis=axis)


def _pairs(call: Call) -> list[tuple[int, int]]:
    """(before, after) of every axis of x; the parameter tells of the last ones."""
    pad = call.integers("pad")
    known = list(zip(pad[::2], pad[1::2], strict=True))
    return [(0, 0)] * (call.rank("x") - len(known)) + known


def _pad(call: Call) -> str:
    pairs, mode = _pairs(call), call.choice("mode", tuple(_PAD_MODES), "constant")
    pads = call.graph.constant([before for before, _ in pairs] + [after for _, after in pairs], np.int64)
    fill = [call.scalar(call.number("constant_val"), "x")] if mode == "constant" else []
    return call.graph.node("Pad", call.tensor("x"), pads, *fill, mode=_PAD_MODES[mode])


def _tile(call: Call) -> str:
    return call.graph.node("Tile", call.tensor("x"), call.graph.constant(call.integers("reps"), np.int64))


def _reverse(call: Call) -> str:
    axes = call.axes("axes", of="x")
    ends = [np.iinfo(np.int64).min] * len(axes)
    starts, steps = [-1] * len(axes), [-1] * len(axes)
    bounds = [call.graph.constant(values, np.int64) for values in (starts, ends, axes, steps)]
    return call.graph.node("Slice", call.tensor("x"), *bounds)


def _flatten2d(call: Call) -> str:
    shape, axis = call.shape("x"), _flattened_axis(call)
    first = -1 if call.per_image() else math.prod(shape[:axis])
    return call.graph.node("Reshape", call.tensor("x"), call.graph.constant([first, math.prod(shape[axis:])], np.int64))


def _flattened_axis(call: Call) -> int:
    """From 0 to the rank: that many axes make the rows."""
    axis = call.integer("axis", 1)
    return axis if axis == call.rank("x") else call.positive([axis], call.rank("x"))[0]


def _flatten_keeps_images(call: Call) -> bool:
    return _flattened_axis(call) == 1


def _space_to_depth(call: Call) -> str:
    return call.graph.node("SpaceToDepth", call.tensor("x"), blocksize=call.integer("block_size"))


def _depth_to_space(call: Call) -> str:
    return call.graph.node("DepthToSpace", call.tensor("x"), blocksize=call.integer("block_size"), mode="DCR")


def _pixel_shuffle(call: Call) -> str:
    return call.graph.node("DepthToSpace", call.tensor("x"), blocksize=call.integer("upscale_factor"), mode="CRD")


def _pixel_unshuffle(call: Call) -> str:
    """[n, c, h * f, w * f] to [n, c * f * f, h, w], the inverse of `pixel_shuffle`."""
    factor, (_, channels, height, width) = call.integer("downscale_factor"), call.shape("x")
    apart = [-1, channels, height // factor, factor, width // factor, factor]
    split = call.graph.node("Reshape", call.tensor("x"), call.graph.constant(apart, np.int64))
    turned = call.graph.node("Transpose", split, perm=[0, 1, 3, 5, 2, 4])
    together = [-1, channels * factor * factor, height // factor, width // factor]
    return call.graph.node("Reshape", turned, call.graph.constant(together, np.int64))


def _pairs_of(call: Call, name: str) -> np.ndarray:
    """[2, 2]: before and after, of height and of width."""
    return np.asarray(call.integers(name)).reshape(2, 2)


def _space_to_batch(call: Call) -> str:
    """Each place of a block becomes an image of its own: [n, c, h * a, w * b] to [a * b * n, c, h, w], after padding with zeros."""
    (high, wide), pads = call.integers("block_shape"), _pairs_of(call, "paddings")
    images, channels, height, width = call.shape("x")
    laid = call.graph.constant([0, 0, *pads[:, 0], 0, 0, *pads[:, 1]], np.int64)
    padded = call.graph.node("Pad", call.tensor("x"), laid)
    rows, columns = (height + pads[0].sum()) // high, (width + pads[1].sum()) // wide
    apart = call.graph.constant([images, channels, rows, high, columns, wide], np.int64)
    turned = call.graph.node("Transpose", call.graph.node("Reshape", padded, apart), perm=[3, 5, 0, 1, 2, 4])
    return call.graph.node("Reshape", turned, call.graph.constant([-1, channels, rows, columns], np.int64))


def _batch_to_space(call: Call) -> str:
    """The inverse of `space_to_batch`, cropped."""
    (high, wide), crops = call.integers("block_shape"), _pairs_of(call, "crops")
    images, channels, height, width = call.shape("x")
    apart = call.graph.constant([high, wide, images // (high * wide), channels, height, width], np.int64)
    turned = call.graph.node("Transpose", call.graph.node("Reshape", call.tensor("x"), apart), perm=[2, 3, 4, 0, 5, 1])
    rows, columns = height * high, width * wide
    whole = call.graph.node("Reshape", turned, call.graph.constant([-1, channels, rows, columns], np.int64))
    bounds = crops[:, 0], np.array([rows, columns]) - crops[:, 1], [2, 3]
    return call.graph.node("Slice", whole, *[call.graph.constant(values, np.int64) for values in bounds])


def _band_part(call: Call) -> str:
    """The last two axes around their diagonal: `lower` values below it, `upper` above it, all where negative; the others zero."""
    lower, upper = call.integer("lower", -1), call.integer("upper", -1)
    rows, columns = call.shape("x")[-2:]
    below = np.arange(rows)[:, None] - np.arange(columns)
    kept = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return call.graph.node("Where", call.graph.constant(kept), call.tensor("x"), call.scalar(0, "x"))


def _like_keeps_images(call: Call) -> bool:
    return call.is_per_image(call.argument("x")) and call.operation.outputs[0].shape[:1] == (1,)


def _shape(call: Call) -> str:
    if None in call.free_shape(call.argument("x")):
        return call.graph.node("Cast", call.graph.node("Shape", call.tensor("x")), to=onnx_dtype("int32"))
    return call.graph.constant(call.shape("x"), np.int32)


def _fill(call: Call) -> str:
    value = np.asarray(call.constant("value", np.float32(0)))
    return call.graph.constant(np.full(call.integers("shape"), value.reshape(-1)[0], value.dtype))


def _fill_like(call: Call) -> str:
    value = np.asarray(call.constant("value", np.float32(0)))
    return call.graph.constant(np.full(call.shape("ref_tensor"), value.reshape(-1)[0], value.dtype))


def _range(call: Call) -> str:
    dtype = computed_dtype(call.operation.outputs[0].dtype)
    return call.graph.node("Range", *[call.tensor(name, dtype) for name in ("start", "end", "step")])


ENTRIES: dict[str, Entry] = {
    "reshape": entry(_reshape, "x shape", _first_stays_one),
    "transpose": entry(_transpose, "x perm", lambda call: call.axes("perm", of="x")[0] == 0),
    "squeeze": entry(_squeeze, "x axes", _squeeze_keeps_images),
    "expand_dims": entry(_expand_dims, "x axes", lambda call: 0 not in _new_axes(call)),
    "concat": entry(_concat, "values axis interleave", lambda call: _joined_axis(call) != 0 and _all_per_image(call)),
    "stack": entry(_stack, "values axis", lambda call: _stacked_axis(call) != 0 and _all_per_image(call)),
    "split": entry(_split, "x num_splits split_sizes axis", lambda call: call.axis("axis", of="x") != 0),
    "pad": entry(_pad, "x pad mode constant_val", lambda call: _pairs(call)[0] == (0, 0)),
    "tile": entry(_tile, "x reps", lambda call: call.integers("reps")[0] == 1),
    "reverse": entry(_reverse, "x axes", lambda call: 0 not in call.axes("axes", of="x")),
    "flatten2d": entry(_flatten2d, "x axis", _flatten_keeps_images),
    "space_to_depth": entry(_space_to_depth, "x block_size", always),
    "depth_to_space": entry(_depth_to_space, "x block_size", always),
    "pixel_shuffle": entry(_pixel_shuffle, "x upscale_factor", always),
    "pixel_unshuffle": entry(_pixel_unshuffle, "x downscale_factor", always),
    "space_to_batch": entry(_space_to_batch, "x block_shape paddings", never),
    "batch_to_space": entry(_batch_to_space, "x block_shape crops", never),
    "band_part": entry(_band_part, "x lower upper", lambda call: call.rank("x") > 2),
    "reshape_like": entry(_to_output_shape, "x ref_tensors begins ends end_masks", _like_keeps_images),
    "shape": entry(_shape, "x", never),
    "fill": entry(_fill, "shape value", never),
    "fill_like": entry(_fill_like, "ref_tensor value", never),
    "range_1d": entry(_range, "start end step", never),
}
