"""One operation with its arguments as the table's functions see it, and the table's entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.coreml_reference.block import Argument, Operation, Stored, Tensor, constant_of
from edgecls.coreml_reference.graph import Graph, computed, onnx_dtype
from edgecls.errors import UnsupportedOperationError
from edgecls.formats.reading import DamagedError

_NUMPY = {"fp16": "float32", "fp32": "float32", "fp64": "float64"}  # MIL's short names; float16 is computed in float32


class Values:
    """What is known of the program's values while it is translated.

    Attributes:
        names: MIL value -> ONNX value.
        per_image: MIL values whose first axis, of size 1 in the program, counts the images.
        stored: identity of a constant -> ONNX value.
        dequantized: MIL values that a `dequantize` operation made.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.per_image: set[str] = set()
        self.stored: dict[int, str] = {}
        self.dequantized: set[str] = set()


class Call:
    """An operation to translate.

    Args:
        operation: with its arguments.
        graph: where nodes are added.
        values: what earlier operations made.
        path: the package, for errors.
    """

    def __init__(self, operation: Operation, graph: Graph, values: Values, path: object) -> None:
        self.operation, self.graph, self._values, self._path = operation, graph, values, path

    # what it is given

    def has(self, name: str) -> bool:
        """Whether the parameter is given."""
        return name in self.operation.arguments

    def argument(self, name: str) -> Argument:
        """What a required parameter is given."""
        if name not in self.operation.arguments:
            raise DamagedError(f"operation {self.operation.type} {self.operation.name[:80]!r} lacks {name!r}")
        return self.operation.arguments[name]

    def tensor(self, name: str, dtype: Any = None) -> str:
        """The ONNX value of a parameter; a constant is added to the graph, in `dtype` if one is asked."""
        return self._value(self.argument(name), dtype)

    def tensors(self, name: str) -> list[str]:
        """The ONNX values of a parameter that takes a list."""
        return [self._value(item) for item in self.items(name)]

    def items(self, name: str) -> list[Argument]:
        """The single arguments of a parameter that takes a list."""
        found = self.argument(name)
        return found if isinstance(found, list) else [found]

    def constant(self, name: str, default: Any = None) -> Any:
        """The value of a parameter that must be constant: an array (single numbers too), a text, or the default where it is not given."""
        if not self.has(name):
            return default
        if self.is_computed(name):
            raise self.unsupported(f"with a computed {name!r}")
        found = constant_of(self.argument(name))
        return computed(found) if isinstance(found, np.ndarray) else found

    def number(self, name: str, default: float = 0.0) -> float:
        """A parameter that is one constant number."""
        return float(np.asarray(self.constant(name, default)).reshape(-1)[0])

    def integer(self, name: str, default: int = 0) -> int:
        """A parameter that is one constant integer."""
        return int(np.asarray(self.constant(name, default)).reshape(-1)[0])

    def flag(self, name: str, default: bool = False) -> bool:
        """A parameter that is one constant truth value."""
        return bool(np.asarray(self.constant(name, default)).reshape(-1)[0])

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A parameter that is a constant vector of integers."""
        found = self.constant(name)
        if found is None:
            if default is None:
                raise DamagedError(f"operation {self.operation.type} {self.operation.name[:80]!r} lacks {name!r}")
            return list(default)
        return [int(item) for item in np.asarray(found).reshape(-1)]

    def choice(self, name: str, known: Sequence[str], default: str) -> str:
        """A parameter that is one of the known texts."""
        found = str(self.constant(name, default))
        if found not in known:
            raise self.unsupported(f"with {name} {found[:40]!r}")
        return found

    def is_computed(self, name: str) -> bool:
        """Whether a parameter is given a computed value."""
        return any(isinstance(item, Tensor) for item in self.items(name)) if self.has(name) else False

    def dtype(self, name: str) -> str:
        """The dtype of a parameter's value."""
        return self._described(self.argument(name)).dtype

    def is_float(self, name: str) -> bool:
        """Whether a parameter's values are floats."""
        return self.dtype(name).startswith("float")

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter's value; every axis must have a fixed size."""
        return self.fixed(self.argument(name))

    def rank(self, name: str) -> int:
        """The number of axes of a parameter's value."""
        return len(self.free_shape(self.argument(name)))

    def axis(self, name: str, of: str, default: int = -1) -> int:
        """A parameter that is an axis of the value of `of`, counted from the front."""
        return self.positive([self.integer(name, default)], self.rank(of))[0]

    def axes(self, name: str, of: str) -> list[int]:
        """A parameter that lists axes of the value of `of`, counted from the front; all of them where it is not given."""
        rank = self.rank(of)
        return self.positive(self.integers(name, range(rank)), rank)

    def positive(self, axes: Sequence[int], rank: int) -> list[int]:
        """Axes counted from the front."""
        if any(not -rank <= axis < rank for axis in axes):
            raise DamagedError(f"operation {self.operation.type} {self.operation.name[:80]!r} names an axis that does not exist")
        return [axis % rank for axis in axes]

    def free_shape(self, argument: Argument) -> tuple[int | None, ...]:
        """The shape of a single argument; None where an axis has no fixed size."""
        return self._described(argument).shape

    def fixed(self, argument: Argument) -> tuple[int, ...]:
        """The shape of a single argument, every axis of a fixed size."""
        shape = self.free_shape(argument)
        if None in shape:
            raise self.unsupported("on values without a fixed size")
        return tuple(size or 0 for size in shape)

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The declared shape of an output, every axis of a fixed size."""
        return self.fixed(self.operation.outputs[index])

    # whether its first axis counts images

    def is_per_image(self, argument: Argument) -> bool:
        """Whether the first axis of an argument counts the images."""
        return isinstance(argument, Tensor) and argument.name in self._values.per_image

    def is_dequantized(self, name: str) -> bool:
        """Whether a parameter is given what `dequantize` made of integers."""
        argument = self.argument(name)
        return isinstance(argument, Tensor) and argument.name in self._values.dequantized

    def per_image(self) -> list[str]:
        """The parameters whose first axis counts the images."""
        given = self.operation.arguments
        return [name for name in given if any(self.is_per_image(item) for item in self.items(name))]

    # errors and constants

    def unsupported(self, what: str) -> UnsupportedOperationError:
        """The error for what the reference does not compute."""
        place = f"{self.operation.type} {what}".strip()
        return UnsupportedOperationError(
            "operations that the Core ML reference computes",
            f"{self._path}: operation {self.operation.name[:80]!r}: {place}",
            "run the package on macOS, or convert the model without that operation",
        )

    def scalar(self, value: float, like: str) -> str:
        """A single number of the dtype in which the parameter `like` is computed."""
        return self.graph.constant(np.asarray(value, computed_dtype(self.dtype(like))))

    def _described(self, argument: Argument) -> Tensor:
        if isinstance(argument, list):
            raise self._takes_a_list()
        return argument if isinstance(argument, Tensor) else argument.tensor

    def _takes_a_list(self) -> DamagedError:
        return DamagedError(f"operation {self.operation.type} {self.operation.name[:80]!r} takes a list where it wants one value")

    def _value(self, argument: Argument, dtype: Any = None) -> str:
        if isinstance(argument, list):
            raise self._takes_a_list()
        if isinstance(argument, Tensor):
            name = self._values.names[argument.name]
            return name if dtype is None else self.graph.node("Cast", name, to=onnx_dtype(np.dtype(dtype).name))
        if dtype is not None:
            return self.graph.constant(np.asarray(constant_of(argument)).astype(dtype))
        return self._stored(argument)

    def _stored(self, constant: Stored) -> str:
        """A constant of the program; one that several operations take is there once."""
        if id(constant) not in self._values.stored:
            found = constant_of(constant)
            if not isinstance(found, np.ndarray):
                raise DamagedError(
                    f"operation {self.operation.type} {self.operation.name[:80]!r} takes a text where it wants numbers"
                )
            self._values.stored[id(constant)] = self.graph.constant(computed(found))
        return self._values.stored[id(constant)]


def computed_dtype(dtype: str) -> np.dtype:
    """The dtype in which a MIL dtype (`float16` or `fp16`) is computed."""
    return np.dtype({"float16": "float32", **_NUMPY}.get(dtype, dtype))


Translate = Callable[[Call], "str | list[str]"]
KeepsImages = Callable[[Call], bool]


@dataclass(frozen=True)
class Entry:
    """One operation of the table.

    Attributes:
        translate: adds its nodes; the names of its outputs.
        parameters: those it may have; any other is refused.
        keeps_images: whether, for this call, the first axis of all outputs counts images as that of its inputs does, each image
            computed by itself. Asked only where an input's first axis counts images.
    """

    translate: Translate
    parameters: frozenset[str]
    keeps_images: KeepsImages


def entry(translate: Translate, parameters: str, keeps_images: KeepsImages) -> Entry:
    """An entry whose parameters are named in one text."""
    return Entry(translate, frozenset(parameters.split()), keeps_images)


def always(call: Call) -> bool:
    """The first axis passes through."""
    return True


def only_first(name: str) -> KeepsImages:
    """The first axis of `name` passes through, if no other argument has images."""
    return lambda call: call.per_image() == [name]


def aligned(call: Call) -> bool:
    """Elementwise with broadcasting: the images' axes lie on each other, and nothing else lies on them."""
    arguments = [item for name in call.operation.arguments for item in call.items(name)]
    shapes = [call.free_shape(item) for item in arguments]
    rank = max(len(shape) for shape in shapes)
    fits = [len(shape) < rank or shape[0] == 1 for shape in shapes]
    images_first = [not call.is_per_image(item) or len(shape) == rank for item, shape in zip(arguments, shapes, strict=True)]
    return all(fits) and all(images_first)
