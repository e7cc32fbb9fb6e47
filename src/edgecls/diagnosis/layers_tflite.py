"""Layers of a float .tflite and its quantized form, run by LiteRT with every tensor kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgecls.diagnosis.float_self import tflite_self
from edgecls.diagnosis.layer_values import INPUT_OPERATION, LayerInfo, TensorCodes, Values
from edgecls.errors import ArtifactError
from edgecls.formats.tflite.graph import GraphOperation, TFLiteGraph

_QUANTIZED = "_quantized"  # litert-quantizer's name for the integer form of a float tensor
_GIVEN = "/given"
_INTEGERS = {np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int16)}


class TFLiteLayers:
    """A float .tflite and a quantized one of the same tensor names.

    Args:
        float_path: float32.
        quantized_path: int8 or dynamic, made from it.

    Raises:
        ArtifactError: damaged, or the two have no layers in common.
    """

    def __init__(self, float_path: Path, quantized_path: Path) -> None:
        given, quantized = _read(float_path), _read(quantized_path)
        self._float, self._quantized = _Opened(given), _Opened(quantized)
        float_graph = tflite_self(TFLiteGraph(given), quantized)
        if float_graph.file is not given:
            self._float = _Opened(float_graph.file)
        graph = _Layers(float_graph)
        stored = {name: self._stored_as(name) for name in [graph.input, *graph.operations] if self._stored_as(name)}
        if len(stored) < 2:
            raise ArtifactError(
                "two files of one model", f"{quantized_path.name}, which shares no layer with {float_path.name}", "convert again"
            )
        self._sources = {name: source for name, source in stored.items() if source is not None}
        self._input, self.output = graph.input, graph.output
        self._inputs = [name for name in graph.read_tensors() if name in self._sources]
        self.layers = [self._describe(graph, name) for name in [graph.input, *graph.operations] if name in self._sources]
        self._alone = _Opened(graph.cut_at(self._inputs), keep=False)

    def run(self, image: np.ndarray) -> Values:
        """All tensors of one model input [1, *input_shape], float32."""
        self._quantized.feed(image)
        quantized = {name: self._decoded(source) for name, source in self._sources.items()}
        self._alone.give({f"{name}{_GIVEN}": quantized[name] for name in self._inputs})
        alone = {layer.name: self._alone.value(layer.name) for layer in self.layers if layer.operation != INPUT_OPERATION}
        return Values(self.run_float(image), quantized, {self._input: image, **alone})

    def run_float(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """The float file's tensors alone."""
        self._float.feed(image)
        return {name: self._float.value(name) for name in self._sources}

    def _stored_as(self, name: str) -> str | None:
        """The tensor of the quantized file that holds a layer's output as the next layers read it."""
        return next((found for found in (name + _QUANTIZED, name) if found in self._quantized.indices), None)

    def _decoded(self, source: str) -> np.ndarray:
        values, codes = self._quantized.value(source), self._quantized.codes(source)
        return values if codes is None else codes.decode(values)

    def _describe(self, graph: _Layers, name: str) -> LayerInfo:
        own = name if name in self._quantized.indices else self._sources[name]
        return LayerInfo(
            name=name,
            operation=graph.operations.get(name, INPUT_OPERATION),
            codes=self._quantized.codes(self._sources[name]),
            computes_float=name != graph.input
            and self._quantized.codes(own) is None
            and not self._has_integer_weights(graph, name),
            weights=graph.weights(name),
            readers=graph.readers(name),
        )

    def _has_integer_weights(self, graph: _Layers, name: str) -> bool:
        kernel = graph.kernels.get(name)
        return kernel is not None and self._quantized.dtype(kernel) in _INTEGERS


class _Opened:
    """A model in an interpreter, with its tensors by name."""

    def __init__(self, model: bytes, *, keep: bool = True) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # keeping all tensors is for debugging, it says: so it is
            self._interpreter = Interpreter(model_content=model, experimental_preserve_all_tensors=keep)
        self._interpreter.allocate_tensors()
        self._details = {detail["name"]: detail for detail in self._interpreter.get_tensor_details() if detail["name"]}
        self.indices = {name: detail["index"] for name, detail in self._details.items()}
        self._input = self._interpreter.get_input_details()[0]

    def feed(self, image: np.ndarray) -> None:
        """Run on one model input, float32, quantized where the file takes integers."""
        codes = self.codes(self._input["name"])
        values = image
        if codes is not None:
            rounded = np.clip(np.rint(image / codes.scale) + codes.zero_point, codes.lowest, codes.highest)
            values = rounded.astype(self._input["dtype"])
        self._interpreter.set_tensor(self._input["index"], values)
        self._interpreter.invoke()

    def give(self, values: Mapping[str, np.ndarray]) -> None:
        """Run on several inputs by name."""
        for name, value in values.items():
            self._interpreter.set_tensor(self.indices[name], value)
        self._interpreter.invoke()

    def value(self, name: str) -> np.ndarray:
        """A tensor of the last run, as stored."""
        return self._interpreter.get_tensor(self.indices[name])

    def dtype(self, name: str) -> np.dtype | None:
        """How a tensor is stored; None where there is none of that name."""
        return np.dtype(self._details[name]["dtype"]) if name in self._details else None

    def codes(self, name: str) -> TensorCodes | None:
        """How a tensor is quantized; None where it is float."""
        dtype = self.dtype(name)
        if dtype not in _INTEGERS or dtype is None:
            return None
        scale, zero_point = self._details[name]["quantization"]
        limits = np.iinfo(dtype)
        return TensorCodes(float(scale), int(zero_point), int(limits.min), int(limits.max))


class _Layers:
    """The main graph of a float model, by the names of its operations' only outputs.

    Attributes:
        input, output: names of the model's own input and output tensor.
        operations: name -> kind, in order.
        kernels: name -> name of the operation's constant operand of two or more axes.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        self._graph = graph
        self.input, self.output = graph.names[graph.inputs[0]], graph.names[graph.outputs[0]]
        self._by_output = {
            graph.names[operation.output]: operation for operation in graph.operations if len(operation.outputs) == 1
        }
        self.operations = {name: operation.kind for name, operation in self._by_output.items()}
        self.kernels = {name: graph.names[tensor] for name in self.operations if (tensor := self._kernel(name)) is not None}

    def read_tensors(self) -> list[str]:
        """Names of the tensors that operations read, constants apart."""
        read = (tensor for operation in self._graph.operations for tensor in operation.inputs)
        return [self._graph.names[tensor] for tensor in dict.fromkeys(read)]

    def readers(self, name: str) -> list[str]:
        """Names of the operations that read a tensor."""
        return [reader for reader, operation in self._by_output.items() if name in self._operands(operation)]

    def _operands(self, operation: GraphOperation) -> list[str]:
        return [self._graph.names[tensor] for tensor in operation.operands if tensor >= 0]

    def weights(self, name: str) -> np.ndarray | None:
        """Float weights of an operation, the output channel first; None where it has none."""
        tensor = self._kernel(name)
        values = None if tensor is None else self._graph.floats(tensor)
        return np.moveaxis(values, -1, 0) if values is not None and self.operations[name] == "DEPTHWISE_CONV_2D" else values

    def _kernel(self, name: str) -> int | None:
        operation = self._by_output.get(name)
        candidates = () if operation is None else operation.constants
        return next((tensor for tensor in candidates if _is_kernel(self._graph.floats(tensor))), None)

    def cut_at(self, names: list[str]) -> bytes:
        """The model with these tensors given from outside, each to all that read it, and with every operation's result as an output."""
        graph = self._graph.copy()
        given = {graph.names.index(name): graph.add_tensor_like(graph.names.index(name), f"{name}{_GIVEN}") for name in names}
        for operation in graph.operations:
            operation.operator.inputs = [given.get(tensor, tensor) for tensor in operation.operands]
        inputs = [*given.values(), *(tensor for tensor in graph.inputs if tensor not in given)]
        graph.set_border(inputs, [tensor for operation in graph.operations for tensor in operation.outputs])
        return graph.pack()


def _is_kernel(values: np.ndarray | None) -> bool:
    return values is not None and values.ndim > 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError("a .tflite that can be read", f"{path}: {error.strerror}", "convert again") from None
