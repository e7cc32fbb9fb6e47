"""An ONNX graph while it is being put together; weights stay arrays beside it, so that they are never serialized."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.coreml_reference.block import Tensor

OPSET, IR_VERSION = 20, 9
HALF = 10  # ONNX's number for float16
_INLINE = 1024  # bytes: smaller constants are written into the graph, where the engine folds them


class Graph:
    """Nodes and constants of an ONNX graph.

    Attributes:
        weights: initializer -> its values, for those that are handed to the engine as they lie in memory.
    """

    def __init__(self) -> None:
        self.weights: dict[str, np.ndarray] = {}
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []

    @property
    def pools(self) -> bool:
        """Whether windows of values are pooled."""
        return any(node.op_type in ("AveragePool", "MaxPool") for node in self._nodes)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; its name."""
        return self.nodes(kind, *inputs, count=1, **attributes)[0]

    def nodes(self, kind: str, *inputs: str, count: int, **attributes: Any) -> list[str]:
        """Add a node of `count` outputs; their names. An input "" is one left out, an attribute None one not given."""
        from onnx import helper

        outputs = [f"{kind}_{len(self._nodes)}_{index}" for index in range(count)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, **given))
        return outputs

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant; its name."""
        import onnx
        from onnx import helper, numpy_helper

        array = np.asarray(values, dtype)
        name = f"constant_{len(self._initializers)}"
        if array.nbytes <= _INLINE:
            self._initializers.append(numpy_helper.from_array(array, name))
            return name
        proto = onnx.TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=onnx.TensorProto.EXTERNAL,
        )
        proto.external_data.add(key="location", value="memory")
        self._initializers.append(proto)
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def serialize(self, inputs: list[tuple[Tensor, list[Any]]], outputs: dict[str, str]) -> bytes:
        """The model.

        Args:
            inputs: each with its shape, names for free axes.
            outputs: name of an output -> the value it gives.
        """
        from onnx import helper

        sources = [helper.make_tensor_value_info(tensor.name, onnx_dtype(tensor.dtype), shape) for tensor, shape in inputs]
        targets = [helper.make_empty_tensor_value_info(name) for name in outputs]
        ends = [helper.make_node("Identity", [value], [name]) for name, value in outputs.items()]
        graph = helper.make_graph([*self._nodes, *ends], "program", sources, targets, self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return model.SerializeToString()


def onnx_dtype(dtype: str) -> int:
    """ONNX's number for the dtype in which a MIL dtype is computed: float16 is computed in float32."""
    import onnx

    names = {"float16": "FLOAT", "float32": "FLOAT", "float64": "DOUBLE"}
    return onnx.TensorProto.DataType.Value(names.get(dtype, dtype.upper()))


def computed(values: np.ndarray) -> np.ndarray:
    """A constant in the dtype it is computed in."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
