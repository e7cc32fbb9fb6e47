"""Computes channels last what a frozen graph computes channels first: TensorFlow has no such kernels on CPUs, nor have the converters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecls.errors import UnsupportedModelError
from edgecls.models.computation import TrainingRefusal
from edgecls.models.graph_rewrites import constant_node, replace_nodes
from edgecls.system.extras import require

CHANNELS_FIRST_REFUSAL = TrainingRefusal(
    "layers that compute channels first, which TensorFlow does not train on CPUs",
    "build the model with data_format='channels_last' and load the same weights",
)
_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # the axes of NCHW in the order of NHWC, and back
_PLACES = {1: 3, 2: 1, 3: 2, 0: 0}  # where an axis of NCHW is in NHWC
_LISTS = ("strides", "ksize", "dilations")  # attributes of one number an axis
_DATA = {"Conv2DBackpropInput": 2}  # operation -> which input is the image, where it is not the first
_ELEMENTWISE = {
    "Abs", "Add", "AddV2", "Elu", "Erf", "Erfc", "Exp", "Identity", "LeakyRelu", "Maximum", "Minimum", "Mul", "Neg", "Pow", "RealDiv",
    "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh",
}  # fmt: skip
_REDUCTIONS = {"Max", "Mean", "Min", "Sum"}
_COMPUTED = {
    "AvgPool", "BiasAdd", "Conv2D", "Conv2DBackpropInput", "DepthToSpace", "DepthwiseConv2dNative", "FusedBatchNorm",
    "FusedBatchNormV2", "FusedBatchNormV3", "MaxPool", "SpaceToDepth",
}  # fmt: skip


def compute_channels_last(graph: Any, outputs: Sequence[str]) -> bool:
    """Rewrite a GraphDef of constants in place; whether there was anything to rewrite.

    Args:
        outputs: names of the operations that give the results.

    Raises:
        UnsupportedModelError: an operation with channels first that has no other form.
    """
    first = [node for node in graph.node if _is_first(node)]
    others = [node.name for node in first if node.op not in _COMPUTED]
    if others:
        raise UnsupportedModelError(
            "channels last",
            f"layers with channels first: {', '.join(others[:3])}",
            "build the model with data_format='channels_last' and load the same weights: TensorFlow computes no other on CPUs",
        )
    if first:
        tf = require("tensorflow")
        replace_nodes(graph, _Rewriting(graph).run())
        graph.CopyFrom(tf.compat.v1.graph_util.extract_sub_graph(graph, list(outputs)))
    return bool(first)


def _is_first(node: Any) -> bool:
    return "data_format" in node.attr and node.attr["data_format"].s.startswith(b"NC")


class _Rewriting:
    """Every value with channels first that is computed here has a twin with channels last, of which it is the transpose. What can be
    computed from twins is, so that between two convolutions nothing is transposed; what is not needed in the end is cut off."""

    def __init__(self, graph: Any) -> None:
        self._tf = require("tensorflow")
        self._graph = graph
        self._nodes: list[Any] = []
        self._twins: dict[str, str] = {}

    def run(self) -> list[Any]:
        """The nodes of the new graph."""
        with self._tf.Graph().as_default() as imported:
            self._tf.graph_util.import_graph_def(self._graph, name="")
        for operation in imported.get_operations():
            node = self._tf.compat.v1.NodeDef.FromString(operation.node_def.SerializeToString())
            if not self._rewrite(operation, node):
                self._nodes.append(node)
        return self._nodes

    def _rewrite(self, operation: Any, node: Any) -> bool:
        """Whether the node was replaced."""
        if _is_first(node):
            return self._computed(operation, node)
        if node.op in ("SpaceToBatchND", "BatchToSpaceND"):
            return self._moved_to_batch(operation, node)
        if not any(tensor.name in self._twins for tensor in operation.inputs):
            return self._moved_last(operation)
        rules: dict[str, Callable[[Any, Any], bool]] = {
            "ConcatV2": self._joined,
            "Pad": self._padded,
            "PadV2": self._padded,
            "MirrorPad": self._padded,
            "Transpose": self._transposed,
            **dict.fromkeys(_ELEMENTWISE, self._elementwise),
            **dict.fromkeys(_REDUCTIONS, self._reduced),
        }
        return node.op in rules and rules[node.op](operation, node)

    def _moved_last(self, operation: Any) -> bool:
        """A value that is made channels first out of one with channels last has that for its twin; the node stays."""
        if operation.type == "Transpose" and _constant(operation.inputs[1]) == list(_FIRST):
            self._twins[operation.outputs[0].name] = operation.inputs[0].name
        return False

    def _computed(self, operation: Any, node: Any) -> bool:
        node.attr["data_format"].s = b"NHWC"
        for name in _LISTS:
            if name in node.attr:
                node.attr[name].list.i[:] = _ordered(node.attr[name].list.i)
        if (
            "explicit_paddings" in node.attr and node.attr["explicit_paddings"].list.i
        ):  # to look at one that is not there would make it
            pairs = np.reshape(node.attr["explicit_paddings"].list.i, (4, 2))
            node.attr["explicit_paddings"].list.i[:] = pairs[list(_LAST)].reshape(-1).tolist()
        place = _DATA.get(node.op, 0)
        if node.op == "Conv2DBackpropInput":
            node.input[0] = self._gathered(node.input[0], node.name)
        node.input[place] = self._last(operation.inputs[place])
        return self._put(operation, node)

    def _elementwise(self, operation: Any, node: Any) -> bool:
        if operation.outputs[0].shape.rank != 4 or not all(tensor.shape.is_fully_defined() for tensor in operation.inputs):
            return False
        for index, tensor in enumerate(operation.inputs):
            node.input[index] = self._last(tensor) if tensor.shape.rank else tensor.name
        return self._put(operation, node)

    def _joined(self, operation: Any, node: Any) -> bool:
        axis = _constant(operation.inputs[-1])
        if axis is None or operation.outputs[0].shape.rank != 4:
            return False
        for index, tensor in enumerate(operation.inputs[:-1]):
            node.input[index] = self._last(tensor)
        node.input[len(node.input) - 1] = self._constant(f"{node.name}/axis", np.int32(_PLACES[axis % 4]), operation.inputs[-1])
        return self._put(operation, node)

    def _padded(self, operation: Any, node: Any) -> bool:
        sizes = _constant(operation.inputs[1])
        if sizes is None:
            return False
        node.input[0] = self._last(operation.inputs[0])
        node.input[1] = self._constant(f"{node.name}/sizes", np.array(sizes)[list(_LAST)], operation.inputs[1])
        return self._put(operation, node)

    def _moved_to_batch(self, operation: Any, node: Any) -> bool:
        """A dilated convolution stands between two of these, whose blocks count the channels as one more axis of space, of block 1."""
        block, sizes = (_constant(operation.inputs[index]) for index in (1, 2))
        if (
            block is None
            or sizes is None
            or operation.inputs[0].shape.rank != 4
            or len(block) != 3
            or block[0] != 1
            or sizes[0] != [0, 0]
        ):
            return False
        node.input[0] = self._last(operation.inputs[0])
        node.input[1] = self._constant(f"{node.name}/block", block[1:], operation.inputs[1])
        node.input[2] = self._constant(f"{node.name}/sizes", sizes[1:], operation.inputs[2])
        return self._put(operation, node)

    def _reduced(self, operation: Any, node: Any) -> bool:
        axes = _constant(operation.inputs[1])
        if axes is None or operation.inputs[0].shape.rank != 4:
            return False
        places = sorted(_PLACES[axis % 4] for axis in np.reshape(axes, -1))
        kept = [axis for axis in _LAST if _PLACES[axis] not in places]
        if not node.attr["keep_dims"].b and kept != sorted(kept):
            return False
        node.input[0] = self._last(operation.inputs[0])
        node.input[1] = self._constant(f"{node.name}/axes", np.array(places), operation.inputs[1])
        if node.attr["keep_dims"].b:
            return self._put(operation, node)
        self._nodes.append(node)
        return True

    def _transposed(self, operation: Any, node: Any) -> bool:
        order = _constant(operation.inputs[1])
        if order is None:
            return False
        node.input[0] = self._last(operation.inputs[0])
        node.input[1] = self._constant(f"{node.name}/order", np.array([_PLACES[axis] for axis in order]), operation.inputs[1])
        if order == list(_LAST):
            del node.input[1:]
            node.op = "Identity"
            del node.attr["Tperm"]
        self._nodes.append(node)
        return True

    def _put(self, operation: Any, node: Any) -> bool:
        """Add a node that computes channels last under another name; its own name is that of the transpose."""
        name, tensor = node.name, operation.outputs[0]
        node.name = f"{name}/channels_last"
        node.attr.pop("_output_shapes", None)
        self._nodes.append(node)
        self._twins[tensor.name] = f"{node.name}:0"
        self._transpose(name, f"{node.name}:0", _FIRST, tensor.dtype)
        return True

    def _last(self, tensor: Any) -> str:
        """Name of a value with channels last; one that has less than four axes gets them in front first."""
        if tensor.name not in self._twins:
            base, source = tensor.name.replace(":", "/"), tensor.name
            if tensor.shape.rank < 4:
                shape = np.array([1] * (4 - tensor.shape.rank) + tensor.shape.as_list(), np.int32)
                source = self._operation(
                    f"{base}/four_axes", "Reshape", [source, self._made(f"{base}/shape", shape)], tensor.dtype
                )
                self._nodes[-1].attr["Tshape"].type = self._tf.int32.as_datatype_enum
            self._twins[tensor.name] = self._transpose(f"{base}/last", source, _LAST, tensor.dtype)
        return self._twins[tensor.name]

    def _gathered(self, sizes: str, name: str) -> str:
        """The four sizes of a result in the order of NHWC, also where they are computed."""
        name = f"{name}/sizes"
        order, axis = self._made(f"{name}/order", np.array(_LAST, np.int32)), self._made(f"{name}/axis", np.int32(0))
        result = self._operation(name, "GatherV2", [sizes, order, axis], None)
        for attribute in ("Tparams", "Tindices", "Taxis"):
            self._nodes[-1].attr[attribute].type = self._tf.int32.as_datatype_enum
        return result

    def _transpose(self, name: str, source: str, order: Sequence[int], dtype: Any) -> str:
        result = self._operation(name, "Transpose", [source, self._made(f"{name}/order", np.array(order, np.int32))], dtype)
        self._nodes[-1].attr["Tperm"].type = self._tf.int32.as_datatype_enum
        return result

    def _operation(self, name: str, op: str, inputs: list[str], dtype: Any) -> str:
        node = self._tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
        if dtype is not None:
            node.attr["T"].type = dtype.as_datatype_enum
        self._nodes.append(node)
        return f"{name}:0"

    def _constant(self, name: str, value: Any, like: Any) -> str:
        """A constant of the dtype of another one."""
        return self._made(name, np.asarray(value, like.dtype.as_numpy_dtype))

    def _made(self, name: str, value: Any) -> str:
        name = f"{name}/channels_last"
        self._nodes.append(constant_node(name, value))
        return f"{name}:0"


def _constant(tensor: Any) -> Any:
    """The value of a constant as Python numbers, None where it is computed."""
    value = require("tensorflow").get_static_value(tensor)
    return None if value is None else value.tolist()


def _ordered(values: Sequence[int]) -> list[int]:
    return [values[axis] for axis in _LAST]
