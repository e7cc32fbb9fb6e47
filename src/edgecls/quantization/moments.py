"""Moments: how what a layer's weights are multiplied with varies together, on the calibration images.

A few random places of each image are enough: an eighth as many as an output has weights, so that two thirds of 100 images give eight
samples for each weight. Only these leave the session.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecls.quantization.weighted_layers import WeightedLayer, Window

if TYPE_CHECKING:
    import onnx

PLACES = 8, 64  # of each image, at least and at most
_TOGETHER = 512  # samples of a layer


class Moments:
    """Second moments of what the weights of one layer are multiplied with, over the images seen.

    Samples wait until there are enough of them: each product reads and writes all moments, which takes longer than what few samples give.

    Attributes:
        weights: how many one output has.
        samples: seen so far.
    """

    def __init__(self, groups: int, weights: int) -> None:
        self.weights, self.samples = weights, 0
        self._total = np.zeros((groups, weights))  # of what samples are above the origin
        self._products = np.zeros((groups, weights, weights))
        # Near the mean: products of values far from zero would leave float32 no digits for how they vary.
        self._origin: np.ndarray | None = None
        self._waiting: list[np.ndarray] = []
        self._factors: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        """Take in samples [groups, n, weights], float32."""
        self._waiting.append(values)
        self.samples += values.shape[1]
        if sum(part.shape[1] for part in self._waiting) >= _TOGETHER:
            self._multiply()

    def about_mean(self) -> np.ndarray:
        """Second moments about the mean [groups, weights, weights], float64."""
        if self._waiting:
            self._multiply()
        mean = self._total / self.samples
        found = self._products / self.samples - mean[:, :, None] * mean[:, None, :]
        if self._factors is not None:
            found *= self._factors[:, :, None]
            found *= self._factors[:, None, :]
        return found

    def scaled(self, factors: np.ndarray) -> Moments:
        """Those of the same samples with what each weight is multiplied with times a power of two, [groups, weights].

        The sums are shared, which are as large as the weights squared: no sample may be added to either from then on.
        """
        if self._waiting:
            self._multiply()
        result = copy.copy(self)
        result._factors = factors
        return result

    def _multiply(self) -> None:
        values = np.concatenate(self._waiting, axis=1)
        self._waiting = []
        if self._origin is None:
            self._origin = values.mean(axis=1, keepdims=True)
        values -= self._origin
        self._total += values.sum(axis=1)
        self._products += np.matmul(values.transpose(0, 2, 1), values)


def probe_layer(graph: onnx.GraphProto, layer: WeightedLayer, shape: Sequence[int]) -> None:
    """Let a graph give what a layer's weights are multiplied with at some places of each image.

    Args:
        graph: changed.
        shape: of the value that the layer reads, for one image, without the axis of images.

    The new output comes last, as `samples_of` takes it.
    """
    import onnx
    from onnx import helper, numpy_helper

    output, source = f"{layer.name}/probe/moments", layer.source
    if layer.window is None:
        graph.node.append(helper.make_node("Identity", [source], [output]))
        graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
        return
    channels, height, width = shape
    pads, places = _places(layer.window, height, width, int(np.clip(layer.weights[0].size // 8, *PLACES)))
    if any(pads):
        given = f"{output}/pads"
        graph.initializer.append(numpy_helper.from_array(np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64), given))
        graph.node.append(helper.make_node("Pad", [source, given], [f"{output}/padded"]))
        source = f"{output}/padded"
    size = (height + pads[0] + pads[2]) * (width + pads[1] + pads[3])
    graph.initializer.append(numpy_helper.from_array(np.array([-1, channels, size], np.int64), f"{output}/shape"))
    graph.initializer.append(numpy_helper.from_array(places, f"{output}/places"))
    graph.node.append(helper.make_node("Reshape", [source, f"{output}/shape"], [f"{output}/flat"]))
    graph.node.append(helper.make_node("Gather", [f"{output}/flat", f"{output}/places"], [output], axis=2))
    graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))


def samples_of(layer: WeightedLayer, values: np.ndarray) -> np.ndarray:
    """Samples [groups, n, weights] from what `probe_layer` gives for a batch."""
    if layer.window is None:
        return values[None]
    images, channels, places, window = values.shape
    grouped = values.reshape(images, layer.groups, channels // layer.groups, places, window)
    return grouped.transpose(1, 0, 3, 2, 4).reshape(layer.groups, images * places, -1)


def empty_moments(layers: Mapping[str, WeightedLayer]) -> dict[str, Moments]:
    """Of layers, before any image."""
    return {name: Moments(layer.groups, layer.weights.shape[1] * layer.weights.shape[2]) for name, layer in layers.items()}


def _places(window: Window, height: int, width: int, most: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Padding, and the flat places [most, places of the window] in the padded image that some results look at."""
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(window.size, window.dilations, strict=True)]
    pads = window.pads or _same(window, reach, (height, width))
    padded = height + pads[0] + pads[2], width + pads[1] + pads[3]
    rows, columns = ((length - seen) // stride + 1 for length, seen, stride in zip(padded, reach, window.strides, strict=True))
    chosen = np.arange(rows * columns)
    top, left = chosen // columns * window.strides[0], chosen % columns * window.strides[1]
    inner = (top >= pads[0]) & (left >= pads[1]) & (top + reach[0] <= pads[0] + height) & (left + reach[1] <= pads[1] + width)
    if inner.sum() >= max(most, inner.size / 2):  # what is padded is then rare: a large value need not be padded for it
        top, left = top[inner] - pads[0], left[inner] - pads[1]
        pads, padded = (0, 0, 0, 0), (height, width)
    some = np.sort(np.random.default_rng(0).permutation(len(top))[:most])
    top, left = top[some], left[some]
    down, across = (np.arange(size) * dilation for size, dilation in zip(window.size, window.dilations, strict=True))
    inside = (down[:, None] * padded[1] + across).ravel()
    return pads, (top * padded[1] + left)[:, None] + inside


def _same(window: Window, reach: Sequence[int], lengths: tuple[int, int]) -> tuple[int, ...]:
    missing = [
        max((-(-length // stride) - 1) * stride + seen - length, 0)
        for length, stride, seen in zip(lengths, window.strides, reach, strict=True)
    ]
    return missing[0] // 2, missing[1] // 2, missing[0] - missing[0] // 2, missing[1] - missing[1] // 2
