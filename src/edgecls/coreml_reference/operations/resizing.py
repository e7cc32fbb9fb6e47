"""Resizing of images. Each axis is sampled at the grid points that MIL's documentation gives; between values it is linear.

Where the documentation does not say which value is the nearest, only those resizings are computed for which every reading gives the same.
Images whose size is known only when the program runs are left to the engine, as far as it has the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, always, entry
from edgecls.coreml_reference.graph import onnx_dtype

_FACTORS = ("scale_factor_height", "scale_factor_width")
_FAR = np.iinfo(np.int32).max  # behind the last axis


def _grid_strict(size: int, count: int) -> np.ndarray:
    return np.arange(count) * ((size - 1) / (count - 1) if count > 1 else 0.0)


def _grid_align(size: int, count: int) -> np.ndarray:
    return np.array([(size - 1) / 2]) if count == 1 else _grid_strict(size, count)


def _grid_default(size: int, count: int) -> np.ndarray:
    return np.arange(count) * (size / count)


def _grid_offset(size: int, count: int) -> np.ndarray:
    delta = max(1, size - 1) / count
    return 0.5 * delta + np.arange(count) * delta


def _grid_unalign(size: int, count: int) -> np.ndarray:
    spacing = size / count
    return np.arange(count) * spacing + 0.5 * spacing - 0.5


_GRIDS: dict[str, Callable[[int, int], np.ndarray]] = {
    "STRICT_ALIGN_CORNERS": _grid_strict,
    "ALIGN_CORNERS": _grid_align,
    "DEFAULT": _grid_default,
    "OFFSET_CORNERS": _grid_offset,
    "UNALIGN_CORNERS": _grid_unalign,
}


_GRIDS_OF_ENGINE: dict[Callable[[int, int], np.ndarray], str] = {
    _grid_strict: "align_corners",
    _grid_default: "asymmetric",
    _grid_unalign: "half_pixel",
}


def _linear(call: Call, targets: Sequence[int], grid: Callable[[int, int], np.ndarray]) -> str:
    """Interpolate the last axes to the target sizes, one axis after another."""
    value, shape = call.tensor("x"), call.free_shape(call.argument("x"))
    if None in shape[len(shape) - len(targets) :]:
        strict = grid is _grid_align and min(targets) > 1
        return _by_engine(call, call.graph.constant(targets, np.int64), len(targets), _grid_strict if strict else grid)
    for axis, count in zip(range(len(shape) - len(targets), len(shape)), targets, strict=True):
        size = shape[axis] or 0
        points = np.clip(grid(size, count), 0, size - 1)
        if count == size and np.array_equal(points, np.arange(size)):
            continue
        low = np.floor(points).astype(np.int64)
        lower = call.graph.node("Gather", value, call.graph.constant(low), axis=axis)
        share = (points - low).astype(np.float32).reshape(-1, *[1] * (len(shape) - 1 - axis))
        if not share.any():
            value = lower
            continue
        upper = call.graph.node("Gather", value, call.graph.constant(np.minimum(low + 1, size - 1)), axis=axis)
        difference = call.graph.node("Sub", upper, lower)
        value = call.graph.node("Add", lower, call.graph.node("Mul", difference, call.graph.constant(share)))
    return value


def _by_engine(call: Call, targets: str, dims: int, grid: Callable[[int, int], np.ndarray]) -> str:
    """Interpolate the last `dims` axes to sizes that the program computes."""
    if grid not in _GRIDS_OF_ENGINE:
        raise call.unsupported("on values without a fixed size in this sampling mode")
    sizes = call.graph.node("Concat", _sizes(call, 0, -dims), targets, axis=0)
    how = _GRIDS_OF_ENGINE[grid]
    return call.graph.node("Resize", call.tensor("x"), "", "", sizes, mode="linear", coordinate_transformation_mode=how)


def _sizes(call: Call, start: int, end: int) -> str:
    """The sizes of some axes of x when the program runs."""
    bounds = [call.graph.constant([bound], np.int64) for bound in (start, end)]
    return call.graph.node("Slice", call.graph.node("Shape", call.tensor("x")), *bounds)


def _is_free(call: Call, dims: int) -> bool:
    """Whether one of the last axes of x has no fixed size."""
    return None in call.free_shape(call.argument("x"))[-dims:]


def _last_sizes(call: Call, dims: int) -> list[int]:
    """The sizes of the last axes of x, which must be fixed."""
    if _is_free(call, dims):
        raise call.unsupported("on values without a fixed size")
    return [size or 0 for size in call.free_shape(call.argument("x"))[-dims:]] if dims else []


def _nearest(call: Call, indices: Sequence[np.ndarray]) -> str:
    """Pick the values of the last axes."""
    value, shape = call.tensor("x"), call.free_shape(call.argument("x"))
    for axis, chosen in zip(range(len(shape) - len(indices), len(shape)), indices, strict=True):
        if not np.array_equal(chosen, np.arange(shape[axis] or 0)):
            value = call.graph.node("Gather", value, call.graph.constant(chosen.astype(np.int64)), axis=axis)
    return value


def _agreed(call: Call, readings: Sequence[np.ndarray], size: int) -> np.ndarray:
    """The indices, if all readings of the rule agree."""
    first, *others = [np.clip(reading, 0, size - 1).astype(np.int64) for reading in readings]
    if any(not np.array_equal(first, other) for other in others):
        raise call.unsupported(f"from {size} to {len(first)} values, whose nearest ones MIL does not define")
    return first


def _upsample_nearest(call: Call) -> str:
    scales = [call.number(name, 1) for name in _FACTORS]
    if _is_free(call, 2) and all(scale.is_integer() for scale in scales):
        factors = call.graph.constant([1] * (call.rank("x") - 2) + scales, np.float32)
        rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return call.graph.node("Resize", call.tensor("x"), "", factors, mode="nearest", **rule)
    indices = []
    for size, scale in zip(_last_sizes(call, 2), scales, strict=True):
        places = np.arange(int(np.floor(np.float32(scale) * size)))
        indices.append(_agreed(call, [np.floor(places / scale), np.floor(places * (size / max(len(places), 1)))], size))
    return _nearest(call, indices)


def _resize_nearest(call: Call) -> str:
    targets = call.integer("target_size_height"), call.integer("target_size_width")
    indices = []
    for size, count in zip(_last_sizes(call, 2), targets, strict=True):
        places = np.arange(count)
        indices.append(_agreed(call, [places * size // count, np.floor((places + 0.5) * (size / count))], size))
    return _nearest(call, indices)


def _upsample_bilinear(call: Call) -> str:
    """Scales are taken anew from the sizes, as MIL's documentation says."""
    aligned = call.flag("align_corners", True)
    centred = call.flag("half_pixel_centers", not aligned)
    if aligned and centred:
        raise call.unsupported("with both align_corners and half_pixel_centers")
    grid = _grid_strict if aligned else _grid_unalign if centred else _grid_default
    if not _is_free(call, 2):
        return _linear(call, [size or 0 for size in call.operation.outputs[0].shape[-2:]], grid)
    scales = call.graph.constant([call.number(name, 1) for name in _FACTORS], np.float64)
    sizes = call.graph.node("Cast", _sizes(call, -2, _FAR), to=onnx_dtype("float64"))
    targets = call.graph.node("Cast", call.graph.node("Floor", call.graph.node("Mul", sizes, scales)), to=onnx_dtype("int64"))
    return _by_engine(call, targets, 2, grid)


def _resize_bilinear(call: Call) -> str:
    mode = call.choice("sampling_mode", tuple(_GRIDS), "DEFAULT")
    targets = call.integer("target_size_height", 1), call.integer("target_size_width", 1)
    return _linear(call, targets, _GRIDS[mode])


def _resize(call: Call) -> str:
    mode = call.choice("sampling_mode", tuple(_GRIDS), "DEFAULT")
    how = call.choice("interpolation_mode", ("LINEAR", "NEAREST_NEIGHBOR"), "LINEAR")
    dims = call.integer("resized_dims")
    asked = [] if call.is_computed("shape") else call.integers("shape")[-dims:] if dims else []
    if len(asked) < dims or (_is_free(call, dims) and 0 in asked):
        return _resize_freely(call, dims, how, _GRIDS[mode])
    sizes = call.free_shape(call.argument("x"))[call.rank("x") - dims :]
    targets = [count or size or 0 for count, size in zip(asked, sizes, strict=True)]
    if how == "LINEAR":
        return _linear(call, targets, _GRIDS[mode])
    indices = []
    for size, count in zip(_last_sizes(call, dims), targets, strict=True):
        points = _GRIDS[mode](size, count)
        readings = [np.floor(points + 0.5), np.ceil(points - 0.5)]
        indices.append(_agreed(call, readings if mode != "DEFAULT" else [*readings, np.floor(points)], size))
    return _nearest(call, indices)


def _resize_freely(call: Call, dims: int, how: str, grid: Callable[[int, int], np.ndarray]) -> str:
    """Interpolate to what `shape` says when the program runs; its zeros stand for the size of x."""
    if how != "LINEAR":
        raise call.unsupported("to the nearest values of sizes that are not fixed")
    bounds = [call.graph.constant([bound], np.int64) for bound in (-dims, _FAR)]
    asked = call.graph.node("Slice", call.tensor("shape", np.int64), *bounds)
    kept = call.graph.node("Equal", asked, call.graph.constant(0, np.int64))
    return _by_engine(call, call.graph.node("Where", kept, _sizes(call, -dims, _FAR), asked), dims, grid)


def _spares_images(call: Call) -> bool:
    return call.rank("x") > call.integer("resized_dims")


ENTRIES: dict[str, Entry] = {
    "upsample_nearest_neighbor": entry(_upsample_nearest, "x scale_factor_height scale_factor_width", always),
    "resize_nearest_neighbor": entry(_resize_nearest, "x target_size_height target_size_width", always),
    "upsample_bilinear": entry(
        _upsample_bilinear, "x scale_factor_height scale_factor_width align_corners half_pixel_centers", always
    ),
    "resize_bilinear": entry(_resize_bilinear, "x target_size_height target_size_width sampling_mode", always),
    "resize": entry(_resize, "x shape resized_dims interpolation_mode sampling_mode", _spares_images),
}
