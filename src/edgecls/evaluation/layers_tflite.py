"""Layers of a float .tflite and its quantized form, run by LiteRT with every tensor kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.evaluation.layer_values import INPUT_OPERATION, Codes, LayerInfo, Values

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
        self._float, self._quantized = _Opened(_read(float_path)), _Opened(_read(quantized_path))
        graph = _Graph(float_path.read_bytes())
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

    def _describe(self, graph: _Graph, name: str) -> LayerInfo:
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

    def _has_integer_weights(self, graph: _Graph, name: str) -> bool:
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

    def codes(self, name: str) -> Codes | None:
        """How a tensor is quantized; None where it is float."""
        dtype = self.dtype(name)
        if dtype not in _INTEGERS or dtype is None:
            return None
        scale, zero_point = self._details[name]["quantization"]
        limits = np.iinfo(dtype)
        return Codes(float(scale), int(zero_point), int(limits.min), int(limits.max))


class _Graph:
    """The main graph of a float model.

    Attributes:
        input, output: names of the model's own input and output tensor.
        operations: name of an operation's only output -> its kind, in order.
        kernels: the same name -> name of its constant operand of two or more axes.
    """

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._size = len(model)
        self._model: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        self._graph = self._model.subgraphs[0]
        kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self._model.operatorCodes]
        self._names = [tensor.name.decode() for tensor in self._graph.tensors]
        self.input, self.output = self._names[self._graph.inputs[0]], self._names[self._graph.outputs[0]]
        self._by_output = {
            self._names[operator.outputs[0]]: operator for operator in self._graph.operators if len(operator.outputs) == 1
        }
        self.operations = {name: kinds[codes[operator.opcodeIndex]] for name, operator in self._by_output.items()}
        self._values = {*self._graph.inputs, *(index for operator in self._graph.operators for index in operator.outputs)}
        self.kernels = {name: self._names[index] for name in self.operations if (index := self._kernel(name)) is not None}

    def read_tensors(self) -> list[str]:
        """Names of the tensors that operations read, constants apart."""
        read = (index for operator in self._graph.operators for index in operator.inputs if index in self._values)
        return [self._names[index] for index in dict.fromkeys(int(index) for index in read)]

    def readers(self, name: str) -> list[str]:
        """Names of the operations that read a tensor."""
        return [reader for reader, operator in self._by_output.items() if name in self._operands(operator)]

    def _operands(self, operator: Any) -> list[str]:
        return [self._names[index] for index in operator.inputs if index >= 0]

    def weights(self, name: str) -> np.ndarray | None:
        """Float weights of an operation, the output channel first; None where it has none."""
        index = self._kernel(name)
        if index is None:
            return None
        tensor = self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        values = np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
        return np.moveaxis(values, -1, 0) if self.operations[name] == "DEPTHWISE_CONV_2D" else values

    def _kernel(self, name: str) -> int | None:
        from ai_edge_litert.schema_py_generated import TensorType

        operator = self._by_output.get(name)
        for index in () if operator is None else operator.inputs:
            tensor = self._graph.tensors[index]
            has_data = index >= 0 and self._model.buffers[tensor.buffer].data is not None
            if has_data and tensor.type == TensorType.FLOAT32 and len(tensor.shape) > 1:
                return int(index)
        return None

    def cut_at(self, names: list[str]) -> bytes:
        """The model with these tensors given from outside, each to all that read it, and with every operation's result as an output."""
        import flatbuffers

        graph = self._graph
        given = {self._names.index(name): self._copy(name) for name in names}
        for operator in graph.operators:
            operator.inputs = [given.get(int(index), index) for index in operator.inputs]
        graph.inputs = [*given.values(), *(index for index in graph.inputs if index not in given)]
        graph.outputs = [index for operator in graph.operators for index in operator.outputs]
        self._model.signatureDefs, self._model.metadata = None, None
        builder = flatbuffers.Builder(self._size + 2**16)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _copy(self, name: str) -> int:
        from ai_edge_litert import schema_py_generated as schema

        original, copy = self._graph.tensors[self._names.index(name)], schema.TensorT()
        copy.shape, copy.shapeSignature, copy.type, copy.buffer = original.shape, original.shapeSignature, original.type, 0
        copy.name = f"{name}{_GIVEN}".encode()
        self._graph.tensors.append(copy)
        return len(self._graph.tensors) - 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError("a .tflite that can be read", f"{path}: {error.strerror}", "convert again") from None
