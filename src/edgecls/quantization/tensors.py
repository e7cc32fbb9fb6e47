"""Tensors: the activations of a float TFLite model, and the values that they are in the ONNX model made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import AS_MATRIX, INPUT, OUTPUT
from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.ranges import ValueHistogram

if TYPE_CHECKING:
    import onnx


class Tensors:
    """The activations of a float TFLite model by name.

    Attributes:
        onnx_names: TFLite name -> name in the ONNX model made from it.
        values_per_image: how many values all of them hold together.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        names = graph.names
        produced = [*graph.inputs, *(output for operation in graph.operations for output in operation.outputs)]
        self.onnx_names = {names[tensor]: names[tensor] for tensor in produced if graph.is_float(tensor)}
        self.onnx_names |= {names[graph.inputs[0]]: INPUT, names[graph.outputs[0]]: OUTPUT}
        self.values_per_image = sum(int(np.prod(graph.shape(tensor))) for tensor in produced)
        self._moves = [
            (names[operation.operand(0)], names[operation.output])
            for operation in graph.operations
            if operation.kind in SAME_VALUES
        ]

    def values_in(self, model: onnx.ModelProto) -> dict[str, str]:
        """The value of an ONNX model that each tensor is, of those that it has; a matrix where it does without the tensor's own axes."""
        made = {INPUT, *(name for node in model.graph.node for name in node.output)}
        matrices = {name: f"{value}{AS_MATRIX}" for name, value in self.onnx_names.items()}
        found = {name: value if value in made else matrices[name] for name, value in self.onnx_names.items()}
        return {name: value for name, value in found.items() if value in made}

    def complete(self, histograms: dict[str, ValueHistogram]) -> dict[str, ValueHistogram]:
        """Fill in tensors that ONNX does not have (a reshape it could do without) from the one they take their values from."""
        complete = dict(histograms)
        for before, after in self._moves:
            if after not in complete and before in complete:
                complete[after] = complete[before]
        for before, after in reversed(self._moves):
            if before not in complete and after in complete:
                complete[before] = complete[after]
        return complete
