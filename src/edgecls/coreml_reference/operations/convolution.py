"""Convolutions and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, entry, only_first
from edgecls.coreml_reference.operations.quantization import kernel

_PADDINGS = ("valid", "same", "same_lower", "custom")


def same_padding(sizes: Sequence[int], windows: Sequence[int], strides: Sequence[int], lower: bool) -> list[int]:
    """Padding [before..., after...] with which a window gives ceil(size / stride) values: an odd one goes behind, or before if `lower`."""
    totals = [
        max((math.ceil(size / stride) - 1) * stride + window - size, 0)
        for size, window, stride in zip(sizes, windows, strides, strict=True)
    ]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return large + small if lower else small + large


def paddings(call: Call, windows: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The padding of a convolution or a pooling over x, [before..., after...]."""
    how = call.choice("pad_type", _PADDINGS, "valid").lower()
    if how == "valid":
        return [0] * (2 * len(windows))
    if how == "custom":
        pairs = call.integers("pad")
        return pairs[::2] + pairs[1::2]
    sizes = [size or 0 for size in call.free_shape(call.argument("x"))[2:]]
    if 0 in sizes:
        raise call.unsupported("with padding of a size that is not fixed")
    return same_padding(sizes, windows, strides, how == "same_lower")


def _conv(call: Call) -> str:
    sizes = call.shape("weight")[2:]
    ones = [1] * len(sizes)
    strides, dilations = call.integers("strides", ones), call.integers("dilations", ones)
    windows = [(size - 1) * step + 1 for size, step in zip(sizes, dilations, strict=True)]
    bias = [call.tensor("bias")] if call.has("bias") else []
    return call.graph.node(
        "Conv",
        call.tensor("x"),
        kernel(call, "weight"),
        *bias,
        kernel_shape=list(sizes),
        strides=strides,
        dilations=dilations,
        group=call.integer("groups", 1),
        pads=paddings(call, windows, strides),
    )


def _conv_transpose(call: Call) -> str:
    sizes = call.shape("weight")[2:]
    ones = [1] * len(sizes)
    strides, dilations = call.integers("strides", ones), call.integers("dilations", ones)
    before, after, extra = _cropping(call, sizes, strides, dilations)
    bias = [call.tensor("bias")] if call.has("bias") else []
    return call.graph.node(
        "ConvTranspose",
        call.tensor("x"),
        call.tensor("weight"),
        *bias,
        kernel_shape=list(sizes),
        strides=strides,
        dilations=dilations,
        group=call.integer("groups", 1),
        pads=before + after,
        output_padding=extra,
    )


def _cropping(
    call: Call, windows: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """What is cut off before and after each axis of the full result, and what is added behind it where the output is larger."""
    how = call.choice("pad_type", _PADDINGS, "valid")
    if how == "same_lower":
        raise call.unsupported("with pad_type same_lower")
    sizes, wanted = call.shape("x")[2:], call.output_shape()[2:]
    full = [
        (size - 1) * stride + (window - 1) * step + 1
        for size, window, stride, step in zip(sizes, windows, strides, dilations, strict=True)
    ]
    surplus = [have - want for have, want in zip(full, wanted, strict=True)]
    if how == "custom":
        pairs = call.integers("pad", [0] * (2 * len(windows)))
        before, after = pairs[::2], pairs[1::2]
    elif how == "same":
        before = [max(cut, 0) // 2 for cut in surplus]
        after = [max(cut, 0) - first for cut, first in zip(surplus, before, strict=True)]
    else:
        before, after = [0] * len(windows), [0] * len(windows)
    extra = [first + last - cut for cut, first, last in zip(surplus, before, after, strict=True)]
    if any(more < 0 or more >= max(stride, step) for more, stride, step in zip(extra, strides, dilations, strict=True)):
        raise call.unsupported(f"with the output shape {list(wanted)}, which its padding and strides do not give")
    return before, after, extra


def _linear(call: Call) -> str:
    """x @ weight.T + bias, weight [out, in]; of floats and integers together in float."""
    given = [name for name in ("x", "weight", "bias") if call.has(name)]
    mixed = len({call.is_float(name) for name in given}) > 1
    dtype = np.float32 if mixed else None
    bias = [call.tensor("bias", dtype)] if call.has("bias") else []
    x, weight = call.tensor("x", dtype), call.tensor("weight", dtype) if mixed else kernel(call, "weight")
    if call.rank("x") == 2 and (mixed or call.is_float("x")):
        return call.graph.node("Gemm", x, weight, *bias, transB=1)
    product = call.graph.node("MatMul", x, call.graph.node("Transpose", weight, perm=[1, 0]))
    return call.graph.node("Add", product, *bias) if bias else product


def _matmul(call: Call) -> str:
    """Of two dequantized values a Sum of y alone, which is y, keeps the engine from its integer product: exact sums are asked of it
    (EXACT_INT8), but without VNNI it saturates where both factors are computed."""
    x, y = _turned(call, "x"), _turned(call, "y")
    return call.graph.node("MatMul", x, call.graph.node("Sum", y) if call.is_dequantized("x") and call.is_dequantized("y") else y)


def _turned(call: Call, name: str) -> str:
    value, rank = kernel(call, name) if name == "y" else call.tensor(name), call.rank(name)
    if not call.flag(f"transpose_{name}") or rank < 2:
        return value
    return call.graph.node("Transpose", value, perm=[*range(rank - 2), rank - 1, rank - 2])


def _matmul_keeps_images(call: Call) -> bool:
    """Images are rows of x, or lie on an axis of matrices that are multiplied one by one."""
    ranks, images = {name: call.rank(name) for name in ("x", "y")}, call.per_image()
    if images == ["x"] and ranks["x"] == 2 and ranks["y"] == 2:
        return not call.flag("transpose_x")
    rank = max(ranks.values())
    shapes = {name: call.free_shape(call.argument(name)) for name in ranks}
    return all((ranks[name] == rank > 2 if name in images else ranks[name] < rank or shapes[name][0] == 1) for name in ranks)


def _einsum(call: Call) -> str:
    return call.graph.node("Einsum", *call.tensors("values"), equation=_equation(call))


def _equation(call: Call) -> str:
    return str(call.constant("equation", ""))


def _einsum_keeps_images(call: Call) -> bool:
    """The images' axis has one letter, first in the result and wherever there are images, and nowhere else."""
    left, _, right = _equation(call).replace(" ", "").partition("->")
    if not right:
        return False
    for term, item in zip(left.split(","), call.items("values"), strict=True):
        if call.is_per_image(item) != term.startswith(right[0]) or right[0] in term[1:]:
            return False
    return True


ENTRIES: dict[str, Entry] = {
    "conv": entry(_conv, "x weight bias strides pad_type pad dilations groups", only_first("x")),
    "conv_transpose": entry(_conv_transpose, "x weight bias pad output_shape pad_type strides dilations groups", only_first("x")),
    "linear": entry(_linear, "x weight bias", lambda call: call.per_image() == ["x"] and call.rank("x") > 1),
    "matmul": entry(_matmul, "x y transpose_x transpose_y", _matmul_keeps_images),
    "einsum": entry(_einsum, "values equation", _einsum_keeps_images),
}
