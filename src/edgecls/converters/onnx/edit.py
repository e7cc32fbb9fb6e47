"""OnnxEdit: an ONNX graph that is written anew, node after node."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx


class OnnxEdit:
    """A graph of known shapes, whose nodes are taken out and put back one by one, others between them.

    Attributes:
        constants: name -> value of an initializer.
        shapes: name -> shape of every value whose sizes are known.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper, shape_inference

        self._graph = model.graph
        self.constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        values = (*inferred.input, *inferred.output, *inferred.value_info)
        axes = {value.name: value.type.tensor_type.shape.dim for value in values}
        self.shapes = {
            name: tuple(axis.dim_value for axis in sizes)
            for name, sizes in axes.items()
            if all(axis.WhichOneof("value") == "dim_value" for axis in sizes)
        }
        self._nodes: list[onnx.NodeProto] = []

    def put(self, node: onnx.NodeProto) -> None:
        """Put a node behind those that are there already."""
        self._nodes.append(node)

    def add(self, op: str, inputs: Sequence[str], result: str, **attributes: Any) -> str:
        """Put a new node; the name of its result."""
        from onnx import helper

        self.put(helper.make_node(op, list(inputs), [result], result, **attributes))
        return result

    def store(self, name: str, values: Sequence[int] | np.ndarray) -> str:
        """A constant of int64 under a name, its own where it is there already."""
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = np.array(values, np.int64)
            self._graph.initializer.append(numpy_helper.from_array(self.constants[name], name))
        return name

    def reshape(self, name: str, result: str, shape: Sequence[int]) -> str:
        """Give a value other axes under another name."""
        return self.add("Reshape", [name, self.store(f"{result}/shape", shape)], result)

    def finish(self) -> None:
        """Write the new nodes into the graph, without constants that nothing takes."""
        nodes = [copy.deepcopy(node) for node in self._nodes]  # those of the graph go with it
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input}
        for constant in [constant for constant in self._graph.initializer if constant.name not in used]:
            self._graph.initializer.remove(constant)


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute."""
    return next((item.i for item in node.attribute if item.name == name), default)


def integers(node: onnx.NodeProto, name: str) -> list[int] | None:
    """An attribute of several integers, None where it is absent."""
    return next((list(item.ints) for item in node.attribute if item.name == name), None)


def set_attribute(node: onnx.NodeProto, name: str, value: int | list[int]) -> None:
    """Give an attribute a value, whether it is there or not."""
    from onnx import helper

    for item in [item for item in node.attribute if item.name == name]:
        node.attribute.remove(item)
    node.attribute.append(helper.make_attribute(name, value))
