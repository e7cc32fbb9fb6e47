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

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.converters.explicit import AS_MATRIX, tflite_name
from edgecls.converters.onnx import INPUT, OUTPUT
from edgecls.converters.parameters import Affine, OperationParameters, Parameters

if TYPE_CHECKING:
    import onnx

SAME_VALUES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "MaxPool"}
WEIGHT_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}  # Gemm with transB: 0
LOWEST, HIGHEST = -128, 127
SIGNED_WEIGHTS = (
    "its int8 weights are exact on ARM and on x86 with VNNI; on other x86 processors ONNX Runtime saturates, "
    "but where session.x64quantprecision is 1"
)
UNSIGNED = 128  # from an int8 code to the uint8 code of the same value
# Axis orders that turn TFLite's weights into ONNX's: OHWI and 1HWO -> OIHW (transposed convolutions: IOHW); [out, in] -> Gemm's.
_LAYOUTS = {4: ((0, 3, 1, 2), (3, 0, 1, 2)), 2: ((0, 1), (1, 0))}


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
        import onnx
        from onnx import numpy_helper

        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.signed_weights = signed_weights
        border = {parameters.input: INPUT, parameters.output: OUTPUT}
        self.operations = {border.get(name, name): value for name, value in parameters.operations.items()}
        activations = {border.get(name, name): value for name, value in parameters.activations.items()}
        self.constants = {item.name: numpy_helper.to_array(item) for item in self.graph.initializer}
        _gemm_from_matmul(self.graph, self.constants)
        self.tflite_names = {own: theirs for theirs, own in border.items()}
        self.float_layers = {border.get(name, name) for name in float_layers}
        self.activations = _spread(self.graph, activations, self.float_layers)
        self.float_values = {INPUT, *(name for node in self.graph.node for name in node.output if self._stays_float(node))}
        self.new_constants: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.dequantized: dict[str, str] = {}

    def run(self) -> onnx.ModelProto:
        from onnx import numpy_helper

        consumers = _consumers(self.graph)
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
            self.nodes.append(node)
            for name in list(node.output):
                if name in self.activations:
                    if node.op_type == "Softmax":
                        self._keep_shares_float(node)
                    self._quantize(name)
        del self.graph.node[:], self.graph.value_info[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        kept = [item for item in self.graph.initializer if item.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        self.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.new_constants.items())
        return self.model

    def _stays_float(self, node: onnx.NodeProto) -> bool:
        return tflite_name(node.output[0]) in self.float_layers

    def _quantize(self, name: str) -> None:
        """Put QuantizeLinear and DequantizeLinear behind a value; a graph output stays the last DequantizeLinear's."""
        from onnx import helper

        affine = self.activations[name]
        scale, zero = self._affine_constants(name, affine, unsigned=True)
        source = name
        if name == OUTPUT:
            source = f"{name}/float"
            for output_index, output in enumerate(self.nodes[-1].output):
                if output == name:
                    self.nodes[-1].output[output_index] = source
        result = name if name == OUTPUT else f"{name}/dequantized"
        self.nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero], [f"{name}/quantized"], f"{name}/Q"))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}/quantized", scale, zero], [result], f"{name}/DQ"))
        self.dequantized[name] = result

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
        from onnx import helper

        source, result = node.input[0], node.output[0]
        scale, count = self.activations[source].scale, _window(node)
        zero = np.zeros_like(self.activations[source].zero_point)
        apart = Affine(scale, zero), Affine(scale * np.float32(1 - 1 / (4 * UNSIGNED * count)), zero)
        for name, affine in zip((f"{result}/codes", f"{result}/average"), apart, strict=True):
            self._affine_constants(name, affine, unsigned=True)
        node.input[0], node.output[0] = f"{result}/codes", f"{result}/average"
        self.nodes.append(_linear("DequantizeLinear", f"{source}/quantized", node.input[0], node.input[0]))
        self.nodes.append(node)
        self.nodes.append(_linear("QuantizeLinear", node.output[0], f"{result}/quantized", node.output[0]))
        inputs = [f"{result}/quantized", *self._affine_constants(result, self.activations[result], unsigned=True)]
        self.dequantized[result] = result if result == OUTPUT else f"{result}/dequantized"
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [self.dequantized[result]], f"{result}/DQ"))

    def _keep_shares_float(self, node: onnx.NodeProto) -> None:
        """Put an Abs, which changes no share, between a softmax and its QuantizeLinear, so that it is computed in float as in TFLite.

        onnxruntime's integer softmax overflows where the scale of its result is far below 1/256, as for attention over many tokens.
        """
        from onnx import helper

        name = node.output[0]
        node.output[0] = f"{name}/shares"
        self.nodes.append(helper.make_node("Abs", [node.output[0]], [name], f"{name}/Abs"))

    def _dequantize_by_channel(self, node: onnx.NodeProto, name: str) -> None:
        """Give a convolution or product that stays float its input from a DequantizeLinear with the one scale written once per channel.

        The values are the same. Behind a DequantizeLinear with one scale, onnxruntime rounds float weights to int8 by itself (its
        WeightBiasQuantization), per tensor.
        """
        from onnx import helper

        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or not self._is_float_constant(node.input[1]):
            return
        weights, attributes = self.constants[node.input[1]].shape, {item.name: item.i for item in node.attribute}
        by_rows = node.op_type == "Conv" or attributes.get("transB", 0)  # [out, in / groups, …]; the others [in, out / groups, …]
        channels = weights[1] * attributes.get("group", 1) if by_rows else weights[0]
        affine = self.activations[name]
        repeated = Affine(np.repeat(affine.scale, channels), np.repeat(affine.zero_point, channels))
        result = f"{name}/dequantized/for/{node.output[0]}"
        inputs = [f"{name}/quantized", *self._affine_constants(result, repeated, unsigned=True)]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [result], f"{result}/DQ", axis=1))
        node.input[0] = result

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
                codes = _encode(self.constants[name], affine, axis=None)
                operand = f"{node.output[0]}/operand{index}"
                node.input[index] = self._constant(operand, _unsigned(codes), affine, axis=None, unsigned=True)

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
            node.input[2] = self._bias(f"{node.output[0]}/bias", operation.bias, per_channel)
        codes = _in_layout(operation.weights, weights, affine, axis)
        unsigned = not self.signed_weights and not _is_depthwise(node, weights.shape)
        stored = _unsigned(codes) if unsigned else codes
        node.input[1] = self._constant(f"{node.output[0]}/weights", stored, affine, axis, unsigned=unsigned)

    def _constant(self, name: str, codes: np.ndarray, affine: Affine, axis: int | None, *, unsigned: bool = False) -> str:
        from onnx import helper

        self.new_constants[f"{name}/codes"] = codes
        inputs = [f"{name}/codes", *self._affine_constants(name, affine, unsigned=unsigned)]
        attributes: dict[str, Any] = {"axis": axis} if len(affine.scale) > 1 else {}
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}/dequantized"], f"{name}/DQ", **attributes))
        return f"{name}/dequantized"

    def _bias(self, name: str, codes: np.ndarray, scale: np.ndarray) -> str:
        from onnx import helper

        self.new_constants |= {f"{name}/codes": codes, f"{name}/scale": scale, f"{name}/zero_point": np.zeros_like(codes)}
        inputs = [f"{name}/{part}" for part in ("codes", "scale", "zero_point")]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}/dequantized"], f"{name}/DQ", axis=0))
        return f"{name}/dequantized"

    def _affine_constants(self, name: str, affine: Affine, *, unsigned: bool = False) -> tuple[str, str]:
        scalar = len(affine.scale) == 1
        names = f"{name}/scale", f"{name}/zero_point"
        zero_point = _unsigned(affine.zero_point) if unsigned else affine.zero_point
        for key, value in zip(names, (affine.scale, zero_point), strict=True):
            self.new_constants[key] = value[0] if scalar else value
        return names

    def _is_float_constant(self, name: str) -> bool:
        return name in self.constants and self.constants[name].dtype == np.float32

    def _redundant_activations(self, consumers: dict[str, list[onnx.NodeProto]]) -> dict[str, str]:
        """Outputs of ReLU and Clip nodes to drop, mapped to the value before them, which takes over their name."""
        dropped = {}
        for node in self.graph.node:
            name, before = node.output[0], node.input[0] if node.input else ""
            if self._stays_float(node):
                continue
            if name not in self.activations or before in self.activations or len(consumers[before]) != 1 or name == OUTPUT:
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


def _linear(kind: str, source: str, result: str, parameters: str) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node(kind, [source, f"{parameters}/scale", f"{parameters}/zero_point"], [result], f"{parameters}/{kind}")


def _window(node: onnx.NodeProto) -> int:
    """How many values a pooling takes the average of."""
    return int(np.prod(next(item.ints for item in node.attribute if item.name == "kernel_shape")))


def _is_depthwise(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether each channel is convolved with one kernel of its own, which alone onnxruntime does without a matrix product."""
    group = next((item.i for item in node.attribute if item.name == "group"), 1)
    return node.op_type == "Conv" and shape[:2] == (group, 1)


def _unsigned(codes: np.ndarray) -> np.ndarray:
    return (codes.astype(np.int16) + UNSIGNED).astype(np.uint8)


def _encode(values: np.ndarray, affine: Affine, axis: int | None) -> np.ndarray:
    """int8 codes of float values."""
    scale, zero_point = _spread_over(affine, values.ndim, axis)
    lowest = -HIGHEST if not affine.zero_point.any() else LOWEST  # symmetric weights leave -128 unused, as TFLite does
    return np.clip(np.rint(values / scale) + zero_point, lowest, HIGHEST).astype(np.int8)


def _in_layout(codes: np.ndarray | None, values: np.ndarray, affine: Affine, axis: int) -> np.ndarray:
    """TFLite's codes in the axis order of the ONNX weights; found by trying the orders that occur.

    Where ONNX has other weights altogether (a factor folded into them), they are encoded anew with TFLite's scales.
    """
    best, best_error = _encode(values, affine, axis), np.inf
    scale, zero_point = _spread_over(affine, values.ndim, axis)
    for moved in weight_orders(codes, values.shape) if codes is not None else ():
        error = float(np.mean(np.abs((moved - zero_point) * scale - values)))
        if error < best_error and error <= float(np.mean(scale)):  # codes are within half a step of their values
            best, best_error = np.ascontiguousarray(moved), error
    return best


def weight_orders(codes: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """TFLite's weights in those of the axis orders other formats have that give this shape."""
    for order in _LAYOUTS.get(codes.ndim, ()):
        if len(shape) == codes.ndim and tuple(codes.shape[place] for place in order) == shape:
            yield codes.transpose(order)


def _spread_over(affine: Affine, rank: int, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point, shaped to broadcast along an axis."""
    shape = [-1 if index == axis else 1 for index in range(rank)] if len(affine.scale) > 1 else []
    return affine.scale.reshape(shape), affine.zero_point.astype(np.float32).reshape(shape)


def _consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)
    return consumers


def _spread(graph: onnx.GraphProto, activations: dict[str, Affine], float_layers: Collection[str]) -> dict[str, Affine]:
    """Give values on both sides of an integer operation that only moves values the same parameters."""
    spread = activations | {f"{name}{AS_MATRIX}": affine for name, affine in activations.items()}
    known = {INPUT, *(name for node in graph.node for name in node.output)}
    for nodes in (graph.node, reversed(graph.node)):
        for node in nodes:
            if node.op_type not in SAME_VALUES or tflite_name(node.output[0]) in float_layers:
                continue
            before, after = node.input[0], node.output[0]
            if before in spread and after not in spread:
                spread[after] = spread[before]
            elif after in spread and before not in spread and before in known:
                spread[before] = spread[after]
    return {name: affine for name, affine in spread.items() if name in known}


def _gemm_from_matmul(graph: onnx.GraphProto, constants: dict[str, np.ndarray]) -> None:
    """Join MatMul with constant weights and the Add of its bias to Gemm, which has an integer kernel with bias."""
    consumers = _consumers(graph)
    for node in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]:
        users = consumers[node.output[0]]
        if constants[node.input[1]].ndim != 2 or len(users) != 1 or users[0].op_type != "Add":
            continue
        bias = next((name for name in users[0].input if name in constants and constants[name].ndim == 1), None)
        if bias is not None:
            node.op_type, node.output[0] = "Gemm", users[0].output[0]
            node.input.append(bias)
            graph.node.remove(users[0])
