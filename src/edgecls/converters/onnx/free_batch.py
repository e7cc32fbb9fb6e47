"""Free batch: a float ONNX model of one image becomes one of any number, operation by operation.

A value that depends on the image has its batch axis somewhere among its axes, as [1, 7, 7, 64] has; or it has none any more, as the tokens
[49, 64] of attention, because with one image the converter could drop it. The first then grows along that axis. The second gets the
batch axis in front, [N, 49, 64], and the operations that follow count their axes from one further on until the axis is there again; or,
for products of matrices, the rows of all images stand one below the other, [N * 49, 64]. Constants that are joined to such values, as a
class token, are repeated for every image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgecls.converters.onnx.edit import OnnxEdit, attribute, integers, set_attribute

if TYPE_CHECKING:
    import onnx

_ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mod",
    "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign",
    "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where", "Xor",
}  # fmt: skip
_REDUCTIONS = {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceL2", "ReduceSumSquare"}
_ONE_AXIS = {"LogSoftmax": -1, "Softmax": -1, "Split": 0}  # operation along one axis, the same behind it -> its axis by default
_END = np.iinfo(np.int64).max


class StuckError(Exception):
    """An operation for which there is no way to take several images."""


@dataclass(frozen=True)
class _Batched:
    """A value that depends on the image.

    Attributes:
        shape: with one image.
        place: the axis that grows with the images; None where `shape` has none.
        rows: without a place: whether the first axis holds the rows of all images; otherwise the batch axis was put in front.
    """

    shape: tuple[int, ...]
    place: int | None
    rows: bool = False

    @property
    def is_leading(self) -> bool:
        """Whether an image's values lie one after another."""
        return self.place is None or all(size == 1 for size in self.shape[: self.place])


def free_batch(model: onnx.ModelProto, batch: str) -> None:
    """Rewrite a model of one image in place; `batch` names its free axis.

    Raises:
        StuckError: an operation has no form for several images.
    """
    _Freeing(model, batch).run()


class _Freeing:
    def __init__(self, model: onnx.ModelProto, batch: str) -> None:
        self._edit, self._batch = OnnxEdit(model), batch
        self._source, self._targets = model.graph.input[0], model.graph.output
        self._order = list(model.graph.node)
        self._batched: dict[str, _Batched] = {}
        self._count = ""  # name of the number of images, once it is needed
        self._repeats: set[str] = set()  # constants that are there once for every image
        self._rules: dict[str, Callable[[onnx.NodeProto], None]] = {
            **dict.fromkeys(_ELEMENTWISE, self._elementwise),
            **dict.fromkeys(_REDUCTIONS, self._reduced),
            **dict.fromkeys(_ONE_AXIS, self._along_one_axis),
            "Concat": self._joined,
            "Expand": self._expanded,
            "Gather": self._gathered,
            "MatMul": self._multiplied,
            "Pad": self._padded,
            "Reshape": self._reshaped,
            "Resize": self._resized,
            "ReverseSequence": self._reversed,
            "Slice": self._sliced,
            "Squeeze": self._reshaped,
            "Tile": self._expanded,
            "Transpose": self._transposed,
            "Unsqueeze": self._reshaped,
        }

    def run(self) -> None:
        """Rewrite the graph."""
        self._batched[self._source.name] = _Batched(self._shape(self._source.name), 0)
        for node in self._order:
            if any(name in self._batched for name in node.input):
                self._rules.get(node.op_type, self._image_by_image)(node)
            self._edit.put(node)
        for value in self._targets:
            if self._state(value.name).place != 0:
                raise StuckError(value.name)
        self._edit.finish()
        for value in (self._source, *self._targets):
            value.type.tensor_type.shape.dim[0].dim_param = self._batch

    def _image_by_image(self, node: onnx.NodeProto) -> None:
        """Operations that take images and give images: convolutions, pooling and their like."""
        node.input[0] = self._as_images(node.input[0])
        if any(name in self._batched for name in node.input[1:]) or self._batched[node.input[0]].place != 0:
            raise StuckError(node.op_type)
        self._made(node, 0)

    def _elementwise(self, node: onnx.NodeProto) -> None:
        rank = len(self._shape(node.output[0]))
        states = [self._batched[name] for name in node.input if name in self._batched]
        places = {None if state.place is None else state.place - len(state.shape) for state in states}
        place = places.pop() if len(places) == 1 else None
        if place is not None and all(self._size(name, place) == 1 for name in node.input if name):
            self._made(node, place + rank)
            return
        if rank == 2 and self._are_rows(node, states):
            self._made(node, None, rows=True)
            return
        as_images = self._are_images(node, rank)
        for index, name in enumerate(node.input):
            if name in self._batched:
                node.input[index] = self._as_images(name, rank) if as_images else self._in_front(name, rank)
        self._made(node, 0 if as_images else None)

    def _are_images(self, node: onnx.NodeProto, rank: int) -> bool:
        """Whether the first axis of the result has length 1 with one image, and can be the batch axis."""
        return rank > 0 and all(
            self._size(name, -rank) == 1 and (name not in self._batched or self._batched[name].is_leading)
            for name in node.input
            if name
        )

    def _are_rows(self, node: onnx.NodeProto, states: Sequence[_Batched]) -> bool:
        """Whether everything has the rows of all images, or the same for each row."""
        constants = [name for name in node.input if name and name not in self._batched]
        return all(state.rows and state.shape[0] == states[0].shape[0] for state in states) and all(
            self._size(name, -2) == 1 for name in constants
        )

    def _reduced(self, node: onnx.NodeProto) -> None:
        axes = self._axes(node, 1)
        state, keeps = self._state(node.input[0]), bool(attribute(node, "keepdims", 1))
        if state.place is not None and state.place not in axes:
            self._made(node, state.place - (0 if keeps else sum(axis < state.place for axis in axes)))
            return
        node.input[0] = self._in_front(node.input[0])
        self._set_axes(node, 1, [axis + 1 for axis in axes])
        self._made(node, None)

    def _along_one_axis(self, node: onnx.NodeProto) -> None:
        axis, state = self._axis(node, _ONE_AXIS[node.op_type]), self._state(node.input[0])
        if state.place is None or state.place == axis:
            node.input[0] = self._in_front(node.input[0])
            set_attribute(node, "axis", axis + 1)
            self._made(node, None)
        else:
            self._made(node, state.place)

    def _joined(self, node: onnx.NodeProto) -> None:
        axis = self._axis(node, 0)
        states = [self._batched[name] for name in node.input if name in self._batched]
        place = states[0].place if len({state.place for state in states}) == 1 else None
        if place is not None and place != axis:
            inputs = [name if name in self._batched else self._repeated(name, place) for name in node.input]
        else:
            place = None
            inputs = [self._in_front(name) if name in self._batched else self._repeated(name, None) for name in node.input]
            set_attribute(node, "axis", axis + 1)
        for index, name in enumerate(inputs):
            node.input[index] = name
        self._made(node, place)

    def _expanded(self, node: onnx.NodeProto) -> None:
        state, sizes = self._state(node.input[0]), self._constant(node, 1)
        sizes = [1] * (len(state.shape) - len(sizes)) + sizes  # Expand may be told the last ones alone
        before = len(sizes) - len(state.shape)
        if state.place is not None and sizes[state.place + before] == 1:
            self._made(node, state.place + before)
            return
        node.input[0] = self._in_front(node.input[0], len(sizes))
        node.input[1] = self._new_constant(node, "sizes", [1, *sizes])
        self._made(node, None)

    def _gathered(self, node: onnx.NodeProto) -> None:
        axis, state = self._axis(node, 0), self._state(node.input[0])
        if node.input[1] in self._batched:
            raise StuckError(node.op_type)
        if state.place is not None and state.place != axis:
            added = len(self._shape(node.input[1])) - 1
            self._made(node, state.place + (added if axis < state.place else 0))
            return
        node.input[0] = self._in_front(node.input[0])
        set_attribute(node, "axis", axis + 1)
        self._made(node, None)

    def _multiplied(self, node: onnx.NodeProto) -> None:
        left, right = (self._batched.get(name) for name in node.input)
        if right is None and left is not None and left.place != len(left.shape) - 1 and len(self._shape(node.input[1])) == 2:
            self._made(node, left.place, rows=left.rows)
            return
        states = [state for state in (left, right) if state is not None]
        place, count = states[0].place, len(states[0].shape)
        alike = all((state.place, len(state.shape)) == (place, count) for state in states)
        if alike and place is not None and place < count - 2 and self._have_no_images(node, place):
            self._made(node, place)
            return
        rank = max(len(self._shape(name)) for name in node.input)
        if min(len(self._shape(name)) for name in node.input) < 2:
            raise StuckError(node.op_type)
        for index, name in enumerate(node.input):
            if name in self._batched:
                node.input[index] = self._in_front(name, rank)
        self._made(node, None)

    def _have_no_images(self, node: onnx.NodeProto, place: int) -> bool:
        """Whether the constants are of matrices alone, or of length 1 where the images are."""
        shapes = [self._shape(name) for name in node.input if name not in self._batched]
        return all(len(shape) <= 2 or shape[place] == 1 for shape in shapes)

    def _padded(self, node: onnx.NodeProto) -> None:
        state = self._state(node.input[0])
        if state.place is not None:
            self._made(node, state.place)
            return
        node.input[0] = self._in_front(node.input[0])
        pads = self._constant(node, 1)
        half = len(pads) // 2
        node.input[1] = self._new_constant(node, "pads", [0, *pads[:half], 0, *pads[half:]])
        self._made(node, None)

    def _reshaped(self, node: onnx.NodeProto) -> None:
        """Whatever only gives the values other axes, they in their order: a reshape with the batch axis in front."""
        state, shape = self._state(node.input[0]), self._shape(node.output[0])
        if not state.is_leading:
            if node.op_type == "Reshape":
                raise StuckError(node.op_type)
            self._moved(node, state)
            return
        place, rows = (0 if shape[:1] == (1,) else None), len(shape) == 2 and shape[0] != 1
        axes = [-1, *(shape[1:] if place == 0 or rows else shape)]
        node.op_type = "Reshape"
        name = self._new_constant(node, "shape", axes)
        del node.input[1:], node.attribute[:]
        node.input.append(name)
        self._made(node, place, rows=rows)

    def _moved(self, node: onnx.NodeProto, state: _Batched) -> None:
        """Axes of length 1 come or go elsewhere than at the batch axis."""
        assert state.place is not None
        count = len(self._shape(node.output[0])) if node.op_type == "Unsqueeze" else len(state.shape)
        axes = sorted(axis % count for axis in self._constant(node, 1))
        if node.op_type == "Unsqueeze":
            place = [axis for axis in range(count) if axis not in axes][state.place]
        elif state.place in axes:
            raise StuckError(node.op_type)
        else:
            place = state.place - sum(axis < state.place for axis in axes)
        self._made(node, place)

    def _resized(self, node: onnx.NodeProto) -> None:
        """Sizes are written with the number of images in front."""
        node.input[0] = self._as_images(node.input[0])
        if len(node.input) > 3 and node.input[3]:
            rest = self._new_constant(node, "sizes", self._constant(node, 3)[1:])
            node.input[3] = self._edit.add("Concat", [self._images(), rest], f"{node.output[0]}/all_sizes", axis=0)
        self._made(node, 0)

    def _sliced(self, node: onnx.NodeProto) -> None:
        state = self._state(node.input[0])
        starts, ends = self._constant(node, 1), self._constant(node, 2)
        count = len(state.shape)
        axes = [
            axis % count for axis in (self._constant(node, 3) if len(node.input) > 3 and node.input[3] else range(len(starts)))
        ]
        steps = self._constant(node, 4) if len(node.input) > 4 and node.input[4] else [1] * len(starts)
        if state.place is None:
            node.input[0] = self._in_front(node.input[0])
            axes = [axis + 1 for axis in axes]
        elif state.place in axes:  # of the one image everything was taken
            ends = [_END if axis == state.place else end for axis, end in zip(axes, ends, strict=True)]
        parts = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}  # all int64: of one dtype, as they have to be
        del node.input[1:]
        node.input.extend(self._new_constant(node, name, values) for name, values in parts.items())
        self._made(node, state.place)

    def _reversed(self, node: onnx.NodeProto) -> None:
        """A reversal of a whole axis, which states its length once for each place on another axis, that of the images perhaps."""
        state, axis = self._state(node.input[0]), attribute(node, "time_axis", 0)
        if axis == state.place or set(self._constant(node, 1)) != {state.shape[axis]}:
            raise StuckError(node.op_type)
        node.op_type = "Slice"
        del node.attribute[:], node.input[1:]
        backwards = {"from": [-1], "to": [-_END], "axis": [axis], "step": [-1]}
        node.input.extend(self._new_constant(node, name, values) for name, values in backwards.items())
        self._sliced(node)

    def _transposed(self, node: onnx.NodeProto) -> None:
        state = self._state(node.input[0])
        order = integers(node, "perm") or list(reversed(range(len(state.shape))))
        if state.place is not None:
            self._made(node, order.index(state.place))
            return
        node.input[0] = self._in_front(node.input[0])
        set_attribute(node, "perm", [0, *(axis + 1 for axis in order)])
        self._made(node, None)

    def _in_front(self, name: str, rank: int | None = None) -> str:
        """The value with the batch axis in front of all its axes, of which it has `rank` then, those in front of length 1."""
        state = self._state(name)
        rank = len(state.shape) if rank is None else rank
        if state.place is None and not state.rows and rank == len(state.shape):
            return name
        if not state.is_leading:
            raise StuckError(name)
        shape = (1,) * (rank - len(state.shape)) + state.shape
        result = f"{name}/each/{rank}"
        if result not in self._batched:
            self._edit.reshape(name, result, [-1, *shape])
            self._batched[result] = _Batched(shape, None)
        return result

    def _as_images(self, name: str, rank: int | None = None) -> str:
        """The value with its own batch axis, the first of `rank`."""
        state = self._state(name)
        shape = (1,) * ((rank or 0) - len(state.shape)) + state.shape
        if state.place is not None and shape == state.shape:
            return name
        if shape[:1] != (1,) or not state.is_leading:
            raise StuckError(name)
        result = f"{name}/images/{len(shape)}"
        if result not in self._batched:
            self._edit.reshape(name, result, [-1, *shape[1:]])
            self._batched[result] = _Batched(shape, 0)
        return result

    def _repeated(self, name: str, place: int | None) -> str:
        """A constant once for every image: along an axis of length 1, or in front."""
        shape = list(self._shape(name))
        if place is not None and shape[place] != 1:
            raise StuckError(name)
        result = f"{name}/for_each/{'front' if place is None else place}"
        if result not in self._repeats:
            self._repeats.add(result)
            before, after = (place, len(shape) - place - 1) if place is not None else (0, len(shape))
            ones = [self._edit.store(f"{result}/{side}", [1] * count) for side, count in (("before", before), ("after", after))]
            sizes = self._edit.add("Concat", [ones[0], self._images(), ones[1]], f"{result}/sizes", axis=0)
            self._edit.add("Expand", [name, sizes], result)
        return result

    def _images(self) -> str:
        """Name of the number of images, an array of one."""
        if not self._count:
            self._count = f"{self._batch}/count"
            ends = [self._edit.store(f"{self._count}/{side}", [place]) for side, place in (("first", 0), ("last", 1))]
            shape = self._edit.add("Shape", [self._source.name], f"{self._count}/shape")
            self._edit.add("Slice", [shape, *ends], self._count)
        return self._count

    def _new_constant(self, node: onnx.NodeProto, what: str, values: Sequence[int]) -> str:
        return self._edit.store(f"{node.output[0]}/{what}/batch", values)

    def _made(self, node: onnx.NodeProto, place: int | None, *, rows: bool = False) -> None:
        for name in node.output:
            if name:
                self._batched[name] = _Batched(self._shape(name), place, rows)

    def _state(self, name: str) -> _Batched:
        if name not in self._batched:
            raise StuckError(name)
        return self._batched[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        if name in self._batched:
            return self._batched[name].shape
        if name in self._edit.constants:
            return self._edit.constants[name].shape
        if name not in self._edit.shapes:
            raise StuckError(name)
        return self._edit.shapes[name]

    def _size(self, name: str, place: int) -> int:
        """Length of an axis counted from behind; 1 where there is none."""
        shape = self._shape(name)
        return shape[place] if len(shape) >= -place else 1

    def _constant(self, node: onnx.NodeProto, place: int) -> list[int]:
        if place >= len(node.input) or node.input[place] not in self._edit.constants:
            raise StuckError(node.op_type)
        return [int(value) for value in self._edit.constants[node.input[place]].reshape(-1)]

    def _axis(self, node: onnx.NodeProto, default: int) -> int:
        return attribute(node, "axis", default) % len(self._shape(node.input[0]))

    def _axes(self, node: onnx.NodeProto, place: int) -> list[int]:
        """Of a reduction: an attribute or an input, all axes where neither is there."""
        count = len(self._shape(node.input[0]))
        found = integers(node, "axes")
        if found is None and len(node.input) > place and node.input[place]:
            found = self._constant(node, place)
        return [axis % count for axis in (range(count) if found is None else found)]

    def _set_axes(self, node: onnx.NodeProto, place: int, axes: list[int]) -> None:
        if len(node.input) > place:
            node.input[place] = self._new_constant(node, "axes", axes)
        else:
            set_attribute(node, "axes", axes)
