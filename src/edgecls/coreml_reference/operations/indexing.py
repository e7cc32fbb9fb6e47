"""Operations that pick values out: slices and gathers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, always, entry
from edgecls.coreml_reference.graph import onnx_dtype

_FAR = np.iinfo(np.int32).max  # behind the end of any axis


@dataclass(frozen=True)
class _Slice:
    """begin:end:step of one axis; `single` picks begin alone and drops the axis."""

    begin: int
    end: int
    step: int
    single: bool

    @property
    def is_all(self) -> bool:
        """Whether the axis stays as it is."""
        return not self.single and self.step == 1 and self.begin == 0 and self.end == _FAR


def _slices(call: Call) -> list[_Slice]:
    """How `slice_by_index` cuts each axis. An end that reaches the end of the axis is written as one far behind it."""
    sizes = call.free_shape(call.argument("x"))
    rank = len(sizes)
    begins, ends, steps = call.integers("begin"), call.integers("end"), call.integers("stride", [1] * rank)
    no_begin, no_end, single = (call.integers(name, [0] * rank) for name in ("begin_mask", "end_mask", "squeeze_mask"))
    found = []
    for axis in range(rank):
        begin, end, step, size = begins[axis], ends[axis], steps[axis], sizes[axis]
        if single[axis]:
            found.append(_Slice(begin, begin + 1 if begin != -1 else _FAR, 1, True))
            continue
        if no_begin[axis]:
            begin = 0 if step > 0 else _FAR
        if no_end[axis] or (step > 0 and size is not None and end >= size):
            end = _FAR if step > 0 else -_FAR
        found.append(_Slice(begin, end, step, False))
    return found


def _computed_slice(call: Call) -> str:
    """`slice_by_index` whose begin or end is computed: what the masks say stands in their place."""
    rank = call.rank("x")
    steps = np.asarray(call.integers("stride", [1] * rank))
    no_begin, no_end, single = (
        np.asarray(call.integers(name, [0] * rank), bool) for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    steps = np.where(single, 1, steps)
    begin = _chosen(call, no_begin & ~single, np.where(steps > 0, 0, _FAR), call.tensor("begin", np.int64))
    end = _chosen(call, no_end, np.where(steps > 0, _FAR, -_FAR), call.tensor("end", np.int64)) if call.has("end") else begin
    if single.any():  # the value at begin alone, which may be the last
        following = call.graph.node("Add", begin, call.graph.constant(np.ones(rank), np.int64))
        is_last = call.graph.node("Equal", following, call.graph.constant(np.zeros(rank), np.int64))
        following = call.graph.node("Where", is_last, call.graph.constant(np.full(rank, _FAR), np.int64), following)
        end = call.graph.node("Where", call.graph.constant(single), following, end)
    axes, by = call.graph.constant(np.arange(rank), np.int64), call.graph.constant(steps, np.int64)
    result = call.graph.node("Slice", call.tensor("x"), begin, end, axes, by)
    dropped = np.flatnonzero(single)
    return call.graph.node("Squeeze", result, call.graph.constant(dropped, np.int64)) if dropped.size else result


def _chosen(call: Call, masked: np.ndarray, instead: np.ndarray, values: str) -> str:
    if not masked.any():
        return values
    return call.graph.node("Where", call.graph.constant(masked), call.graph.constant(instead, np.int64), values)


def _bounds_are_computed(call: Call) -> bool:
    return any(call.is_computed(name) for name in ("begin", "end", "size"))


def _slice_keeps_images(call: Call) -> bool:
    if not _bounds_are_computed(call):
        return _slices(call)[0].is_all
    masks = [call.integers(name, [0])[0] for name in ("begin_mask", "end_mask", "squeeze_mask")]
    return call.per_image() == ["x"] and masks == [1, 1, 0] and call.integers("stride", [1])[0] == 1


def _slice_by_index(call: Call) -> str:
    if _bounds_are_computed(call):
        return _computed_slice(call)
    slices = _slices(call)
    axes = [axis for axis, cut in enumerate(slices) if not cut.is_all]
    result = _cut(
        call, axes, [slices[axis].begin for axis in axes], [slices[axis].end for axis in axes], [slices[a].step for a in axes]
    )
    dropped = [axis for axis, cut in enumerate(slices) if cut.single]
    return call.graph.node("Squeeze", result, call.graph.constant(dropped, np.int64)) if dropped else result


def _cut(call: Call, axes: list[int], begins: list[int], ends: list[int], steps: list[int]) -> str:
    if not axes:
        return call.tensor("x")
    bounds = [call.graph.constant(values, np.int64) for values in (begins, ends, axes, steps)]
    return call.graph.node("Slice", call.tensor("x"), *bounds)


def _slice_by_size(call: Call) -> str:
    if _bounds_are_computed(call):
        begin, size = call.tensor("begin", np.int64), call.tensor("size", np.int64)
        whole = call.graph.node("Equal", size, call.graph.constant(-1, np.int64))
        end = call.graph.node("Where", whole, call.graph.constant(_FAR, np.int64), call.graph.node("Add", begin, size))
        return call.graph.node("Slice", call.tensor("x"), begin, end)
    begins, sizes = call.integers("begin"), call.integers("size")
    ends = [_FAR if size == -1 else begin + size for begin, size in zip(begins, sizes, strict=True)]
    return _cut(call, list(range(len(begins))), begins, ends, [1] * len(begins))


def _slice_by_size_keeps_images(call: Call) -> bool:
    return not _bounds_are_computed(call) and call.integers("begin")[0] == 0 and call.integers("size")[0] == -1


def _crop(call: Call) -> str:
    (top, bottom), (left, right) = call.integers("crop_height"), call.integers("crop_width")
    rank, shape = call.rank("x"), call.shape("x")
    ends = [shape[-2] - bottom, shape[-1] - right]
    return _cut(call, [rank - 2, rank - 1], [top, left], ends, [1, 1])


def _gather(call: Call) -> str:
    if call.integer("batch_dims"):
        return _batched_gather(call)
    return call.graph.node("Gather", call.tensor("x"), _indices(call), axis=call.axis("axis", of="x", default=0))


def _batched_gather(call: Call) -> str:
    """Indices of their own for each place of the first axes: the axis is moved behind these, and its values take the indices' place."""
    batch, axis, rank = call.integer("batch_dims"), call.axis("axis", of="x", default=0), call.rank("x")
    if not batch <= axis:
        raise call.unsupported(f"along axis {axis} with {batch} batch_dims")
    others = [other for other in range(batch, rank) if other != axis]
    turned = call.graph.node("Transpose", call.tensor("x"), perm=[*range(batch), axis, *others])
    each = call.graph.node("Unsqueeze", _indices(call), call.graph.constant([-1], np.int64))
    found = call.graph.node("GatherND", turned, each, batch_dims=batch)
    more, before = call.rank("indices") - batch, axis - batch  # axes of indices, and those of x that belong before them
    start = batch + more
    perm = [*range(batch), *range(start, start + before), *range(batch, start), *range(start + before, start + len(others))]
    return call.graph.node("Transpose", found, perm=perm)


def _gather_along_axis(call: Call) -> str:
    return call.graph.node("GatherElements", call.tensor("x"), _indices(call), axis=call.axis("axis", of="x", default=0))


def _gather_nd(call: Call) -> str:
    return call.graph.node("GatherND", call.tensor("x"), _indices(call), batch_dims=call.integer("batch_dims"))


def _indices(call: Call) -> str:
    return call.tensor("indices", np.int64)


def _gather_keeps_images(call: Call) -> bool:
    images = ["x", "indices"] if call.has("batch_dims") and call.integer("batch_dims") else ["x"]
    return sorted(call.per_image()) == sorted(images) and call.axis("axis", of="x", default=0) != 0


def _never(call: Call) -> bool:
    return False


def _along_keeps_images(call: Call) -> bool:
    return call.per_image() == ["x", "indices"] and call.axis("axis", of="x", default=0) != 0


def _one_hot(call: Call) -> str:
    on, off = (
        np.asarray(call.constant(name, np.int32(value))).reshape(-1) for name, value in (("on_value", 1), ("off_value", 0))
    )
    depth = call.graph.constant([call.integer("one_hot_vector_size")], np.int64)
    axis = call.positive([call.integer("axis", -1)], call.rank("indices") + 1)[0]
    plain = np.concatenate([off, on])
    if plain.dtype.kind == "f":
        return call.graph.node("OneHot", call.tensor("indices", np.int64), depth, call.graph.constant(plain), axis=axis)
    # the engine has no one-hot of truth values or of narrower integers
    found = call.graph.node("OneHot", call.tensor("indices", np.int64), depth, call.graph.constant(plain, np.int64), axis=axis)
    return call.graph.node("Cast", found, to=onnx_dtype(plain.dtype.name))


ENTRIES: dict[str, Entry] = {
    "slice_by_index": entry(_slice_by_index, "x begin end stride begin_mask end_mask squeeze_mask", _slice_keeps_images),
    "slice_by_size": entry(_slice_by_size, "x begin size", _slice_by_size_keeps_images),
    "crop": entry(_crop, "x crop_height crop_width", always),
    "gather": entry(_gather, "x indices axis batch_dims validate_indices", _gather_keeps_images),
    "gather_along_axis": entry(_gather_along_axis, "x indices axis validate_indices", _along_keeps_images),
    "gather_nd": entry(_gather_nd, "x indices batch_dims validate_indices", _never),
    "one_hot": entry(_one_hot, "indices one_hot_vector_size axis on_value off_value", _never),
}
