"""Weighted layers: the convolutions and products of a float ONNX model whose weights are constants, all in one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import tflite_name

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Window:
    """Where a convolution looks.

    Attributes:
        size, strides, dilations: two numbers, down and across.
        pads: top, left, bottom, right; None for what makes the result as large as the input over the stride.
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None


@dataclass(frozen=True)
class WeightedLayer:
    """One of them.

    Attributes:
        name: TFLite's name of its output.
        source: the ONNX value that it reads.
        weights: [outputs, inputs per group, places of the window], float32.
        groups: the outputs of each see their own inputs.
        window: None for a product with a matrix.
    """

    name: str
    source: str
    weights: np.ndarray
    groups: int = 1
    window: Window | None = None


def weighted_layers(model: onnx.ModelProto) -> list[WeightedLayer]:
    """Those of a float ONNX model, in its order; transposed convolutions are none."""
    from onnx import numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        name, source = tflite_name(node.output[0]), node.input[0]
        if node.op_type == "Conv" and weights.ndim == 4:
            rows = weights.reshape(*weights.shape[:2], -1)
            groups = next((item.i for item in node.attribute if item.name == "group"), 1)
            layers.append(WeightedLayer(name, source, rows, groups, _window(node, weights.shape)))
        elif weights.ndim == 2:
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            layers.append(WeightedLayer(name, source, (weights if transposed else weights.T)[:, :, None]))
    return layers


def _window(node: onnx.NodeProto, shape: tuple[int, ...]) -> Window:
    lists = {item.name: tuple(item.ints) for item in node.attribute}
    automatic = next((item.s.decode() for item in node.attribute if item.name == "auto_pad"), "NOTSET")
    pads = None if automatic == "SAME_UPPER" else lists.get("pads", (0, 0, 0, 0))
    return Window((shape[2], shape[3]), lists.get("strides", (1, 1)), lists.get("dilations", (1, 1)), pads)
