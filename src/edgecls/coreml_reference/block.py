"""Operations of an ML program with their arguments: constants as arrays, computed values as names with dtype and shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from edgecls.coreml_reference.decompression import decompress
from edgecls.formats.coreml.read import Package
from edgecls.formats.coreml.value import Constant, free_shape_of, known_dtype
from edgecls.formats.reading import DamagedError


@dataclass(frozen=True)
class Tensor:
    """A value that is computed.

    Attributes:
        dtype: `float16`, `float32`, `int32`, `bool` …; `none` for what is no tensor.
        shape: None where an axis has no fixed size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass
class Stored:
    """A constant of the program. It is read, and decompressed, when it is first needed, and not kept.

    Attributes:
        tensor: its name, dtype and shape.
        read: gives the constant.
        packed: of a `constexpr_*` operation, its own arguments; empty otherwise.
        operation: the type of the operation that holds it.
    """

    tensor: Tensor
    read: Callable[[], Constant]
    operation: str = "const"
    packed: dict[str, Argument] = field(default_factory=dict)


Argument: TypeAlias = "Tensor | Stored | list[Argument]"


@dataclass(frozen=True)
class Operation:
    """One operation that computes.

    Attributes:
        type: as MIL names it: `conv`, `relu` …
        arguments: parameter -> what it is given.
        outputs: the values it makes.
        has_blocks: whether it runs blocks of its own (loops, conditions).
    """

    type: str
    arguments: dict[str, Argument]
    outputs: tuple[Tensor, ...]
    has_blocks: bool = False

    @property
    def name(self) -> str:
        """The name of its first output, by which people find it."""
        return self.outputs[0].name


@dataclass(frozen=True)
class MainFunction:
    """The main function of a package.

    Attributes:
        inputs, outputs: what it takes, and the names of what it gives.
        operations: those that compute, in an order in which they can run.
        constants: of the outputs, those that are constants.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    constants: dict[str, Stored]


def read_main_function(package: Package) -> MainFunction:
    """The operations of a package's main function; the weights are read later, as they are asked for.

    Raises:
        DamagedError: an operation that is not sound.
    """
    inputs = tuple(tensor_of(value) for value in package.function.inputs)
    known: dict[str, Argument] = {tensor.name: tensor for tensor in inputs}
    operations = tuple(_operations(package, known))
    outputs = tuple(package.block.outputs)
    constants = {name: argument for name in outputs if isinstance(argument := known[name], Stored)}
    return MainFunction(inputs, outputs, operations, constants)


def tensor_of(value: Any) -> Tensor:
    """From a `NamedValueType`."""
    return _typed(value.name, value)


def _typed(name: str, value: Any) -> Tensor:
    """Dtype and shape of a `Value` or a `NamedValueType`."""
    if value.type.WhichOneof("type") != "tensorType":
        return Tensor(name, "none", ())
    tensor = value.type.tensorType
    return Tensor(name, known_dtype(tensor.dataType), free_shape_of(tensor))


def _operations(package: Package, known: dict[str, Argument]) -> Iterator[Operation]:
    for message in package.block.operations:
        outputs = tuple(tensor_of(value) for value in message.outputs)
        if message.type == "const":
            value = dict(message.attributes).get("val")
            if value is None:
                raise DamagedError(f"the constant {outputs[0].name[:80]!r} has no value")
            known[outputs[0].name] = _stored(package, outputs[0].name, value)
            continue
        bound = {name: _argument(package, name, argument, known) for name, argument in message.inputs.items()}
        if message.type.startswith("constexpr_"):
            attributes = {name: _stored(package, name, value) for name, value in message.attributes.items() if name != "name"}
            known.update(_compressed(message.type, outputs, {**bound, **attributes}))
            continue
        known.update({tensor.name: tensor for tensor in outputs})
        yield Operation(message.type, bound, outputs, bool(message.blocks))


def _argument(package: Package, name: str, argument: Any, known: dict[str, Argument]) -> Argument:
    items = [
        known[binding.name] if binding.WhichOneof("binding") == "name" else _stored(package, name, binding.value)
        for binding in argument.arguments
        if binding.WhichOneof("binding") == "value" or binding.name in known  # names of nested blocks are their own
    ]
    return items[0] if len(items) == 1 else items


def _stored(package: Package, name: str, value: Any) -> Stored:
    return Stored(_typed(name, value), lambda: package.values.read(value))


def _compressed(kind: str, outputs: tuple[Tensor, ...], packed: dict[str, Argument]) -> dict[str, Argument]:
    """The constants of a `constexpr_*` operation: one, or the mask and the values of a sparse one."""

    def reader(index: int, tensor: Tensor) -> Callable[[], Constant]:
        def read() -> np.ndarray:
            found = decompress(kind, {name: constant_of(argument) for name, argument in packed.items()})
            if len(found) != len(outputs) or found[index].shape != tensor.shape:
                raise DamagedError(f"the weights {tensor.name[:80]!r} do not have the shape {tensor.shape} that the program says")
            return found[index]

        return read

    return {tensor.name: Stored(tensor, reader(index, tensor), kind, packed) for index, tensor in enumerate(outputs)}


def constant_of(argument: Argument) -> np.ndarray | str | list[Any]:
    """The value of an argument that is a constant, or a list of constants.

    Raises:
        DamagedError: it is computed.
    """
    if isinstance(argument, list):
        return [constant_of(item) for item in argument]
    if isinstance(argument, Tensor):
        raise DamagedError(f"the value {argument.name[:80]!r} should be constant, but is computed")
    return argument.read()
