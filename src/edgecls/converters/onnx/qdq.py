"""QDQ: the float ONNX graph with the TFLite model's int8 parameters, in the form onnxruntime fuses into integer kernels.

Around an operation stand DequantizeLinear on every operand and QuantizeLinear on the result; weights are quantized per channel, biases are
int32 with scale input*weight. Activations are uint8: the scales are TFLite's, codes and zero points are TFLite's plus 128, so that they
stand for the same real values. On x86 onnxruntime has integer kernels for uint8 activations alone; int8 ones it first turns into uint8 by
itself, which fails wherever two operations read one tensor, and those convolutions then run in float. A ReLU or Clip whose bounds the
following quantization has anyway is dropped, because it would stand between the convolution and its QuantizeLinear and prevent the fusion.

Weights are uint8 in the same way. On x86 without VNNI onnxruntime multiplies uint8 by int8 with VPMADDUBSW, which adds two neighbouring
products in 16 bits and saturates: 255 * (127 + 2) is already too much. uint8 by uint8 it multiplies exactly on every processor. Depthwise
kernels stay int8: they are multiplied one by one, exactly, and faster than uint8 ones. Where the processors are known, all weights may be
int8 instead, which takes less time.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from edgecls.converters.onnx.qdq_graph import consumers_of, join_biases, spread_parameters
from edgecls.converters.onnx.qdq_nodes import QdqNodes
from edgecls.formats.onnx.names import INPUT, OUTPUT, WEIGHT_CHANNEL_AXIS, tflite_name
from edgecls.quantization.codes import LOWEST, UNSIGNED, encode, in_layout, unsigned
from edgecls.quantization.parameters import Affine, OperationParameters, Parameters
from edgecls.quantization.scales import HIGHEST

if TYPE_CHECKING:
    import onnx

SIGNED_WEIGHTS = (
    "its int8 weights are exact on ARM and on x86 with VNNI; on other x86 processors ONNX Runtime saturates, "
    "but where session.x64quantprecision is 1"
)


def emit_qdq(
    model: onnx.ModelProto, parameters: Parameters, float_layers: Collection[str] = (), *, signed_weights: bool = False
) -> onnx.ModelProto:
    """Rewrite a float ONNX model from `float_onnx` as a QDQ model.

    Args:
        model: float32; its values are named after the TFLite tensors.
        parameters: of the TFLite int8 model made from the same float TFLite model.
        float_layers: names of the TFLite output tensors of operations that stayed float there, and stay so here.
        signed_weights: store all weights as int8, for processors on which they do not saturate.
    """
    return _Emitter(model, parameters, float_layers, signed_weights).run()


class _Emitter:
    def __init__(
        self, model: onnx.ModelProto, parameters: Parameters, float_layers: Collection[str], signed_weights: bool
    ) -> None:
        from onnx import numpy_helper

        self.model = copy.deepcopy(model)
        self.graph = self.model.graph
        self.results = {value.name for value in self.graph.output}
        self.signed_weights = signed_weights
        border = {parameters.input: INPUT, parameters.output: OUTPUT}
        self.operations = {border.get(name, name): value for name, value in parameters.operations.items()}
        activations = {border.get(name, name): value for name, value in parameters.activations.items()}
        self.constants = {item.name: numpy_helper.to_array(item) for item in self.graph.initializer}
        join_biases(self.graph, self.constants)
        self.tflite_names = {own: theirs for theirs, own in border.items()}
        self.float_layers = {border.get(name, name) for name in float_layers}
        self.activations = spread_parameters(self.graph, activations, self.float_layers)
        self.float_values = {INPUT, *(name for node in self.graph.node for name in node.output if self._stays_float(node))}
        self.written = QdqNodes()
        self.dequantized: dict[str, str] = {}

    def run(self) -> onnx.ModelProto:
        consumers = consumers_of(self.graph)
        skipped = self._redundant_activations(consumers)
        if INPUT in self.activations:
            self._quantize(INPUT)
        for node in self.graph.node:
            if node.output[0] in skipped:
                continue
            if node.op_type == "AveragePool" and self._keeps_codes(node):
                self._average(node)
                continue
            self._constant_operands(node)
            for index, name in enumerate(node.input):
                as_made = self._stays_float(node) and name in self.float_values  # between two float layers nothing is rounded
                node.input[index] = name if as_made else self.dequantized.get(name, name)
                if index == 0 and node.input[0] != name and self._stays_float(node):
                    self._dequantize_by_channel(node, name)
            replaced = skipped_output(node, skipped)
            if replaced:
                node.output[0] = replaced
            if self._stays_float(node):
                node.name = self.tflite_names.get(node.output[0], node.output[0])
            self.written.nodes.append(node)
            for name in list(node.output):
                if name in self.activations:
                    if node.op_type == "Softmax":
                        self._keep_shares_float(node)
                    self._quantize(name)
        self._replace_graph()
        return self.model

    def _replace_graph(self) -> None:
        from onnx import numpy_helper

        written = self.written
        del self.graph.node[:], self.graph.value_info[:]
        self.graph.node.extend(written.nodes)
        used = {name for node in written.nodes for name in node.input}
        kept = [item for item in self.graph.initializer if item.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        self.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in written.constants.items())

    def _stays_float(self, node: onnx.NodeProto) -> bool:
        return tflite_name(node.output[0]) in self.float_layers

    def _quantize(self, name: str) -> None:
        """Put QuantizeLinear and DequantizeLinear behind a value; a graph output stays the last DequantizeLinear's."""
        parameters = self.written.affine(name, self.activations[name], is_unsigned=True)
        source = name
        if name in self.results:
            source = f"{name}/float"
            last = self.written.nodes[-1]
            last.output[list(last.output).index(name)] = source
        codes = self.written.add("QuantizeLinear", [source, *parameters], f"{name}/quantized", f"{name}/Q")
        result = name if name in self.results else f"{name}/dequantized"
        self.dequantized[name] = self.written.add("DequantizeLinear", [codes, *parameters], result, f"{name}/DQ")

    def _keeps_codes(self, node: onnx.NodeProto) -> bool:
        """Whether an operation's int8 result has the parameters of its int8 input."""
        before, after = (self.activations.get(name) for name in (node.input[0], node.output[0]))
        if self._stays_float(node) or before is None or after is None:
            return False
        return np.array_equal(before.scale, after.scale) and np.array_equal(before.zero_point, after.zero_point)

    def _average(self, node: onnx.NodeProto) -> None:
        """An average that falls half-way between two codes goes to the one that TFLite takes, the one farther from its code 0.

        onnxruntime takes the even one, and of averages over 2x2 codes every fourth is half-way. An average of codes does not depend on what
        they stand for: so it is computed with TFLite's code 0 for zero, and rounded with a scale that is smaller by so little that only
        what lies exactly half-way is moved.
        """
        written, source, result = self.written, node.input[0], node.output[0]
        scale, count = self.activations[source].scale, _window(node)
        zero = np.zeros_like(self.activations[source].zero_point)
        codes, average = f"{result}/codes", f"{result}/average"
        as_codes = written.affine(codes, Affine(scale, zero), is_unsigned=True)
        shrunk = Affine(scale * np.float32(1 - 1 / (4 * UNSIGNED * count)), zero)
        as_average = written.affine(average, shrunk, is_unsigned=True)
        node.input[0], node.output[0] = codes, average
        written.add("DequantizeLinear", [f"{source}/quantized", *as_codes], codes, f"{codes}/DequantizeLinear")
        written.nodes.append(node)
        quantized = f"{result}/quantized"
        written.add("QuantizeLinear", [average, *as_average], quantized, f"{average}/QuantizeLinear")
        parameters = written.affine(result, self.activations[result], is_unsigned=True)
        values = result if result in self.results else f"{result}/dequantized"
        self.dequantized[result] = written.add("DequantizeLinear", [quantized, *parameters], values, f"{result}/DQ")

    def _keep_shares_float(self, node: onnx.NodeProto) -> None:
        """Put an Abs, which changes no share, between a softmax and its QuantizeLinear, so that it is computed in float as in TFLite.

        onnxruntime's integer softmax overflows where the scale of its result is far below 1/256, as for attention over many tokens.
        """
        name = node.output[0]
        node.output[0] = f"{name}/shares"
        self.written.add("Abs", [node.output[0]], name, f"{name}/Abs")

    def _dequantize_by_channel(self, node: onnx.NodeProto, name: str) -> None:
        """Give a convolution or product that stays float its input from a DequantizeLinear with the one scale written once per channel.

        The values are the same. Behind a DequantizeLinear with one scale, onnxruntime rounds float weights to int8 by itself (its
        WeightBiasQuantization), per tensor.
        """
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or not self._is_float_constant(node.input[1]):
            return
        weights, attributes = self.constants[node.input[1]].shape, {item.name: item.i for item in node.attribute}
        by_rows = node.op_type == "Conv" or attributes.get("transB", 0)  # [out, in / groups, …]; the others [in, out / groups, …]
        channels = weights[1] * attributes.get("group", 1) if by_rows else weights[0]
        affine = self.activations[name]
        repeated = Affine(np.repeat(affine.scale, channels), np.repeat(affine.zero_point, channels))
        result = f"{name}/dequantized/for/{node.output[0]}"
        inputs = [f"{name}/quantized", *self.written.affine(result, repeated, is_unsigned=True)]
        node.input[0] = self.written.add("DequantizeLinear", inputs, result, f"{result}/DQ", axis=1)

    def _constant_operands(self, node: onnx.NodeProto) -> None:
        operation = self.operations.get(tflite_name(node.output[0]))
        if operation is None or not operation.constants:
            return
        if node.op_type in WEIGHT_CHANNEL_AXIS and node.input[1] in self.constants:
            self._weights(node, operation)
            return
        for index, name in enumerate(node.input):
            affine = next((item for item in operation.constants.values() if len(item.scale) == 1), None)
            if affine is not None and node.op_type in ("Add", "Mul", "Sub", "Div") and self._is_float_constant(name):
                codes = unsigned(encode(self.constants[name], affine, axis=None))
                node.input[index] = self.written.dequantized_constant(f"{node.output[0]}/operand{index}", codes, affine, None)

    def _weights(self, node: onnx.NodeProto, operation: OperationParameters) -> None:
        axis = WEIGHT_CHANNEL_AXIS[node.op_type]
        if node.op_type == "Gemm" and any(item.name == "transB" and item.i for item in node.attribute):
            axis = 0
        weights, affine = self.constants[node.input[1]], operation.constants.get(1)
        data = node.input[0]
        if affine is None or data not in self.activations or len(affine.scale) not in (1, weights.shape[axis]):
            return
        bias_scale = self.activations[data].scale * affine.scale
        if len(node.input) > 2 and operation.bias is not None and operation.bias.shape == self.constants[node.input[2]].shape:
            per_channel = np.broadcast_to(bias_scale, operation.bias.shape).astype(np.float32)
            node.input[2] = self.written.dequantized_bias(f"{node.output[0]}/bias", operation.bias, per_channel)
        codes = in_layout(operation.weights, weights, affine, axis)
        stored = codes if self.signed_weights or _is_depthwise(node, weights.shape) else unsigned(codes)
        node.input[1] = self.written.dequantized_constant(f"{node.output[0]}/weights", stored, affine, axis)

    def _is_float_constant(self, name: str) -> bool:
        return name in self.constants and self.constants[name].dtype == np.float32

    def _redundant_activations(self, consumers: dict[str, list[onnx.NodeProto]]) -> dict[str, str]:
        """Outputs of ReLU and Clip nodes to drop, mapped to the value before them, which takes over their name."""
        dropped = {}
        for node in self.graph.node:
            name, before = node.output[0], node.input[0] if node.input else ""
            if self._stays_float(node):
                continue
            if name not in self.activations or before in self.activations or len(consumers[before]) != 1 or name in self.results:
                continue
            bounds = self._bounds(node)
            affine = self.activations[name]
            lowest = float(affine.scale[0]) * (LOWEST - int(affine.zero_point[0]))
            highest = float(affine.scale[0]) * (HIGHEST - int(affine.zero_point[0]))
            slack = float(affine.scale[0]) / 2  # a bound within half a step of the last code rounds to that code
            if bounds and bounds[0] <= lowest + slack and highest - slack <= bounds[1] and before not in self.constants:
                dropped[name] = before
        return dropped

    def _bounds(self, node: onnx.NodeProto) -> tuple[float, float] | None:
        if node.op_type == "Relu":
            return 0.0, np.inf
        if node.op_type == "Clip" and len(node.input) == 3 and all(name in self.constants for name in node.input[1:]):
            return float(self.constants[node.input[1]]), float(self.constants[node.input[2]])
        return None


def skipped_output(node: onnx.NodeProto, skipped: dict[str, str]) -> str | None:
    """The name a node's output takes over from an activation that is dropped behind it."""
    return next((name for name, before in skipped.items() if before == node.output[0]), None)


def _window(node: onnx.NodeProto) -> int:
    """How many values a pooling takes the average of."""
    return int(np.prod(next(item.ints for item in node.attribute if item.name == "kernel_shape")))


def _is_depthwise(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether each channel is convolved with one kernel of its own, which alone onnxruntime does without a matrix product."""
    group = next((item.i for item in node.attribute if item.name == "group"), 1)
    return node.op_type == "Conv" and shape[:2] == (group, 1)
