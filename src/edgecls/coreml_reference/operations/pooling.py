"""Pooling over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecls.coreml_reference.call import Call, Entry, always, entry
from edgecls.coreml_reference.operations.convolution import paddings


@dataclass(frozen=True)
class _Windows:
    """The windows of one pooling.

    Attributes:
        before, after: padding of each axis.
        beyond: how far the last windows reach behind the padding (`ceil_mode`).
    """

    sizes: tuple[int, ...]
    kernel: list[int]
    strides: list[int]
    before: list[int]
    after: list[int]
    beyond: list[int]

    @property
    def pads(self) -> list[int]:
        """[before..., after...], so that all windows are inside."""
        return self.before + [last + more for last, more in zip(self.after, self.beyond, strict=True)]


def _windows(call: Call) -> _Windows:
    kernel = call.integers("kernel_sizes")
    strides = call.integers("strides", [1] * len(kernel))
    pads = paddings(call, kernel, strides)
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    sizes, results = call.shape("x")[2:], call.output_shape()[2:]
    reach = [(count - 1) * stride + window for count, stride, window in zip(results, strides, kernel, strict=True)]
    room = [size + first + last for size, first, last in zip(sizes, before, after, strict=True)]
    beyond = [max(far - have, 0) for far, have in zip(reach, room, strict=True)]
    empty = any(far - window >= have for far, have, window in zip(reach, room, kernel, strict=True))
    if empty or (any(beyond) and not call.flag("ceil_mode")):
        raise call.unsupported(f"with the output shape {list(results)}, which its padding and strides do not give")
    return _Windows(sizes, kernel, strides, before, after, beyond)


def _padded(call: Call, windows: _Windows, fill: float) -> tuple[str, list[int]]:
    """x and the padding left to the pooling: an engine pads by less than a window, larger paddings are laid on before."""
    x, pads = call.tensor("x"), windows.pads
    if all(pad < size for pad, size in zip(pads, windows.kernel * 2, strict=True)):
        return x, pads
    axes = len(windows.kernel)
    laid = call.graph.constant([0, 0, *pads[:axes], 0, 0, *pads[axes:]], np.int64)
    return call.graph.node("Pad", x, laid, call.scalar(fill, "x")), [0] * (2 * axes)


def _max_pool(call: Call) -> str:
    windows = _windows(call)
    x, pads = _padded(call, windows, -np.inf)
    return call.graph.node("MaxPool", x, kernel_shape=windows.kernel, strides=windows.strides, pads=pads)


def _sum_pool(call: Call, windows: _Windows, values: str, pads: list[int]) -> str:
    """The mean over the whole window, padding counted as zeros."""
    return call.graph.node(
        "AveragePool", values, kernel_shape=windows.kernel, strides=windows.strides, pads=pads, count_include_pad=1
    )


def _avg_pool(call: Call) -> str:
    windows = _windows(call)
    x, pads = _padded(call, windows, 0.0)
    mean = _sum_pool(call, windows, x, pads)
    excluded = call.flag("exclude_padding_from_average")
    if not any(windows.beyond) and not (excluded and any(windows.pads)):
        return mean
    # Divide by what counts of each window: the values alone, or values and padding, but never what lies behind the padding.
    counts = _counts(windows, excluded)
    share = np.prod(windows.kernel) / np.maximum(counts, 1)
    return call.graph.node("Mul", mean, call.graph.constant(share[None, None], np.float32))


def _counts(windows: _Windows, excluded: bool) -> np.ndarray:
    """How many places of each window count."""
    counts = np.ones(())
    for axis, (size, kernel) in enumerate(zip(windows.sizes, windows.kernel, strict=True)):
        before, after = windows.before[axis], windows.after[axis]
        low, high = (before, before + size) if excluded else (0, before + size + after)
        starts = np.arange(_results(windows)[axis]) * windows.strides[axis]
        along = np.minimum(starts + kernel, high) - np.maximum(starts, low)
        counts = counts[..., None] * np.maximum(along, 0)
    return counts


def _results(windows: _Windows) -> Sequence[int]:
    axes = len(windows.kernel)
    return [
        (windows.sizes[axis] + windows.pads[axis] + windows.pads[axes + axis] - windows.kernel[axis]) // windows.strides[axis] + 1
        for axis in range(axes)
    ]


def _l2_pool(call: Call) -> str:
    """The square root of the sum of squares."""
    windows = _windows(call)
    x, pads = _padded(call, windows, 0.0)
    mean = _sum_pool(call, windows, call.graph.node("Mul", x, x), pads)
    total = call.graph.node("Mul", mean, call.scalar(float(np.prod(windows.kernel)), "x"))
    return call.graph.node("Sqrt", total)


_PARAMETERS = "x kernel_sizes strides pad_type pad ceil_mode"
ENTRIES: dict[str, Entry] = {
    "max_pool": entry(_max_pool, _PARAMETERS, always),
    "avg_pool": entry(_avg_pool, f"{_PARAMETERS} exclude_padding_from_average", always),
    "l2_pool": entry(_l2_pool, _PARAMETERS, always),
}
