"""TFLiteGraph: the main graph of a .tflite, taken apart once, read by name and kind, changed in place, packed once."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.formats.tflite.schema import IDENTIFIER

SAME_VALUES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")  # operations that only move values
KERNEL, BIAS = 1, 2  # places among the operands of the operations below
CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # a kernel's axis of output channels

_KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_ROOM = 2**16  # what the first guess at a packed file's size has above the size of the file it was taken from


class GraphOperation:
    """One operation of a graph, as it is at the moment it is asked.

    Attributes:
        kind: `CONV_2D`, `ADD` …
        operator: the schema's own object.
    """

    def __init__(self, kind: str, operator: Any, computed: Collection[int]) -> None:
        self.kind, self.operator, self._computed = kind, operator, computed

    @property
    def operands(self) -> list[int]:
        """The tensors it takes, by place; -1 where an optional one is left out."""
        return [] if self.operator.inputs is None else [int(tensor) for tensor in self.operator.inputs]

    @property
    def inputs(self) -> list[int]:
        """The tensors it takes that are computed."""
        return [tensor for tensor in self.operands if tensor in self._computed]

    @property
    def constants(self) -> list[int]:
        """The tensors it takes that are not."""
        return [tensor for tensor in self.operands if tensor >= 0 and tensor not in self._computed]

    @property
    def outputs(self) -> list[int]:
        """The tensors it makes."""
        return [int(tensor) for tensor in self.operator.outputs]

    @property
    def output(self) -> int:
        """The first tensor it makes."""
        return int(self.operator.outputs[0])

    def operand(self, place: int) -> int:
        """The tensor at a place; -1 where there is none."""
        operands = self.operands
        return operands[place] if place < len(operands) else -1


class TFLiteGraph:
    """The main graph of a model.

    Tensors are numbers, as the schema has them.

    Args:
        file: the .tflite; its constants are views into these bytes until they are replaced.

    Attributes:
        model: the schema's `ModelT`.
        names: of each tensor.
        inputs, outputs: the tensors that the model takes and gives.
    """

    def __init__(self, file: bytes) -> None:
        self.file, self._changed = file, False
        self.model: Any = schema.ModelT.InitFromPackedBuf(file, 0)
        self.names = [(tensor.name or b"").decode() for tensor in self._main.tensors]

    def copy(self) -> TFLiteGraph:
        """A graph to change apart from this one; what is not changed is shared."""
        other = copy.copy(self)
        other._forget()
        other.model, main = copy.copy(self.model), copy.copy(self._main)
        other.model.subgraphs = [main, *self.model.subgraphs[1:]]
        other.model.buffers = [copy.copy(buffer) for buffer in self.model.buffers]
        other.model.operatorCodes = list(self.model.operatorCodes)
        main.tensors, other.names = list(main.tensors), list(self.names)
        main.operators = [copy.copy(operator) for operator in main.operators]
        for operator in main.operators:
            operator.builtinOptions = copy.copy(operator.builtinOptions)
        return other

    def pack(self) -> bytes:
        """The model as a .tflite: the file it was taken from, where nothing was changed."""
        if not self._changed:
            return self.file
        for buffer in self.model.buffers:
            if buffer.offset:  # its bytes lie behind the flatbuffer, where nothing would follow them
                buffer.data = np.frombuffer(self.file, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        builder = flatbuffers.Builder(len(self.file) + _ROOM)
        builder.Finish(self.model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    @property
    def _main(self) -> Any:
        return self.model.subgraphs[0]

    @property
    def inputs(self) -> list[int]:
        return [int(tensor) for tensor in self._main.inputs]

    @property
    def outputs(self) -> list[int]:
        return [int(tensor) for tensor in self._main.outputs]

    @cached_property
    def operations(self) -> list[GraphOperation]:
        """In the order in which they run."""
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]
        computed = {*self.inputs, *(int(output) for operator in self._main.operators for output in operator.outputs)}
        return [GraphOperation(_KINDS[codes[operator.opcodeIndex]], operator, computed) for operator in self._main.operators]

    @cached_property
    def makers(self) -> dict[int, int]:
        """tensor -> place of the operation that makes it"""
        return {operation.output: place for place, operation in enumerate(self.operations)}

    @cached_property
    def takers(self) -> dict[int, list[int]]:
        """tensor -> places of the operations that take it"""
        found: dict[int, list[int]] = {}
        for place, operation in enumerate(self.operations):
            for tensor in operation.inputs:
                found.setdefault(tensor, []).append(place)
        return found

    @cached_property
    def _readers(self) -> Counter[int]:
        """tensor -> how often it is an operand"""
        return Counter(tensor for operation in self.operations for tensor in operation.operands)

    @cached_property
    def _sharers(self) -> Counter[int]:
        """buffer -> how many tensors it belongs to"""
        return Counter(int(tensor.buffer) for tensor in self._main.tensors)

    def upwards(self, tensor: int, kinds: tuple[str, ...]) -> Iterator[int]:
        """The operations that make a tensor of one other and constants, from the last to the first."""
        while (place := self.makers.get(tensor)) is not None:
            operation = self.operations[place]
            if operation.kind not in kinds or len(operation.inputs) != 1:
                return
            yield place
            tensor = operation.inputs[0]

    def tensor(self, tensor: int) -> Any:
        """The schema's own object of a tensor."""
        return self._main.tensors[tensor]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The axes of a tensor; none of a number."""
        shape = self.tensor(tensor).shape
        return () if shape is None else tuple(int(axis) for axis in shape)

    def is_float(self, tensor: int) -> bool:
        """Whether a tensor is float32."""
        return self.tensor(tensor).type == schema.TensorType.FLOAT32

    def data(self, tensor: int) -> np.ndarray | None:
        """The bytes of a constant [n], uint8, which may lie behind the flatbuffer; None of what is computed."""
        buffer = self.model.buffers[self.tensor(tensor).buffer]
        if buffer.offset:
            return np.frombuffer(self.file, np.uint8, buffer.size, buffer.offset)
        return None if buffer.data is None else np.asarray(buffer.data, np.uint8)

    def floats(self, tensor: int) -> np.ndarray | None:
        """The values of a float32 constant, in its shape; None of anything else."""
        if tensor < 0 or not self.is_float(tensor) or (data := self.data(tensor)) is None:
            return None
        return data.view(np.float32).reshape(self.shape(tensor))

    def replace_constant(self, operation: GraphOperation, place: int, values: np.ndarray) -> None:
        """Change a float32 operand of one operation.

        A constant that nothing else uses is changed where it is; of a shared one (converters store equal constants once) the bytes,
        or the whole tensor, stay for the others. None is left that nothing uses: what is written over its bytes would fit it no more.

        Args:
            place: which of the operation's operands.
            values: of the same shape.
        """
        index = operation.operands[place]
        tensor = self.tensor(index)
        data = np.ascontiguousarray(values, np.float32).view(np.uint8).ravel()
        self._changed = True
        if self._readers[index] == self._sharers[tensor.buffer] == 1:
            self.model.buffers[tensor.buffer].data = data
            return
        if self._readers[index] == 1:
            self._sharers.subtract([tensor.buffer])
            tensor = self._main.tensors[index] = copy.copy(tensor)
            tensor.buffer = self._add_buffer(data)
            self._sharers[tensor.buffer] = 1
            return
        own = self.add_tensor(f"{self.names[index]}/own_{len(self.names)}", tensor.shape, tensor.type, data)
        operands = operation.operands
        operation.operator.inputs = [*operands[:place], own, *operands[place + 1 :]]
        self._readers.subtract([index])
        self._readers[own] = self._sharers[self.tensor(own).buffer] = 1

    def add_tensor(self, name: str, shape: Any, dtype: int, data: np.ndarray | None = None) -> int:
        """A new tensor.

        Args:
            shape: its axes.
            dtype: of the schema's `TensorType`.
            data: the bytes of a constant [n], uint8; None for one that is computed.
        """
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), shape, dtype, 0
        if data is not None:
            tensor.buffer = self._add_buffer(data)
        self._main.tensors.append(tensor)
        self.names.append(name)
        return len(self.names) - 1

    def _add_buffer(self, data: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = data
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def add_tensor_like(self, tensor: int, name: str) -> int:
        """A new computed tensor with the shape and dtype of another."""
        original = self.tensor(tensor)
        added = self.add_tensor(name, original.shape, original.type)
        self.tensor(added).shapeSignature = original.shapeSignature
        return added

    def make_operator(self, kind: str, inputs: list[int], outputs: list[int], options_type: int = 0, options: Any = None) -> Any:
        """A new operator of the schema, not among the graph's yet."""
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        return operator

    def replace_operators(self, operators: list[Any]) -> None:
        """Let the model consist of these operators of the schema."""
        self._main.operators, self._changed = operators, True
        self._forget()

    def set_border(self, inputs: list[int], outputs: list[int]) -> None:
        """Let the model take and give these tensors; signatures and metadata, which told of others, are left out."""
        self._main.inputs, self._main.outputs, self._changed = inputs, outputs, True
        self.model.signatureDefs, self.model.metadata = None, None

    def replace_border(self, new: Mapping[int, int]) -> None:
        """Let the model take and give other tensors in the place of some, in its signatures too."""
        self._main.inputs = [new.get(tensor, tensor) for tensor in self.inputs]
        self._main.outputs = [new.get(tensor, tensor) for tensor in self.outputs]
        self.model.signatureDefs, self._changed = copy.deepcopy(self.model.signatureDefs), True
        for signature in self.model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = new.get(int(entry.tensorIndex), entry.tensorIndex)

    def give_what_the_signature_names(self) -> None:
        """Let the model give the tensors that its signature names, in the signature's order."""
        named = [int(entry.tensorIndex) for entry in self.model.signatureDefs[0].outputs]
        if named != self.outputs:
            self._main.outputs, self._changed = named, True

    def _forget(self) -> None:
        """Derive anew what was derived from the operators."""
        for derived in ("operations", "makers", "takers", "_readers", "_sharers"):
            self.__dict__.pop(derived, None)

    def _code(self, kind: str) -> int:
        """The place of an operation's kind among those of the model."""
        value = getattr(schema.BuiltinOperator, kind)
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]
        if value not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = value
            code.deprecatedBuiltinCode = min(value, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
            code.version = 1
            self.model.operatorCodes.append(code)
            codes.append(value)
        return codes.index(value)
