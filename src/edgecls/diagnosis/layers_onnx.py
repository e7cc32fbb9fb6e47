"""Layers of a float .onnx and its QDQ form, run by onnxruntime with the integer kernels that it fuses."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.diagnosis.float_self import onnx_self
from edgecls.diagnosis.layer_values import INPUT_OPERATION, LayerInfo, TensorCodes, Values
from edgecls.errors import ArtifactError
from edgecls.formats.onnx.names import WEIGHT_CHANNEL_AXIS

if TYPE_CHECKING:
    import onnx

_GIVEN = "/given"


class OnnxLayers:
    """A float .onnx and a QDQ one made from it.

    Layers are the values that the QDQ file quantizes or leaves float by that name; what stands between two of them (a convolution and
    its Clip) is one layer. Of a quantized value the output of its QuantizeLinear is read, which leaves onnxruntime's fusion as it is.

    Args:
        float_path: float32.
        quantized_path: int8, made from it.

    Raises:
        ArtifactError: damaged, or the two have no layers in common.
    """

    def __init__(self, float_path: Path, quantized_path: Path) -> None:
        quantized_model = _load(quantized_path)
        float_model = onnx_self(_load(float_path), quantized_model)
        graph = _FloatGraph(float_model)
        self._codes = _codes(quantized_model)
        made = {name for node in quantized_model.graph.node for name in node.output}
        stored = [
            graph.input,
            *(name for name in graph.values if name in self._codes or (name in made and graph.is_kernel(name))),
        ]
        stored += [graph.output] if graph.output not in stored else []
        if len(stored) < 3:
            raise ArtifactError(
                "two files of one model", f"{quantized_path.name}, which shares no layer with {float_path.name}", "convert again"
            )
        self._input, self.output = graph.input, graph.output
        self.layers = [self._describe(graph, name, stored) for name in stored]
        self._read = [layer.name for layer in self.layers if layer.readers]
        self._values = [name for name in stored if name != graph.input]
        self._float = _session(_with_outputs(float_model, self._values))
        sources = [self._codes[name][0] if name in self._codes else name for name in stored]
        self._sources = dict(zip(stored, sources, strict=True))
        self._quantized = _session(_with_outputs(quantized_model, [source for source in sources if source != graph.input]))
        self._alone = _session(_with_outputs(graph.cut_at(self._read), self._values))

    def run(self, image: np.ndarray) -> Values:
        """All tensors of one model input [1, *input_shape], float32."""
        names = [name for name, source in self._sources.items() if source != self._input]
        found = _run(self._quantized, [self._sources[name] for name in names], {self._input: image})
        quantized = {
            name: self._codes[name][1].decode(value) if name in self._codes else value
            for name, value in zip(names, found, strict=True)
        }
        quantized.setdefault(self._input, image)
        given = {f"{name}{_GIVEN}": quantized[name] for name in self._read}
        alone = dict(zip(self._values, _run(self._alone, self._values, given), strict=True))
        return Values(self.run_float(image), quantized, {self._input: image, **alone})

    def run_float(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """The float file's tensors alone."""
        values = _run(self._float, self._values, {self._input: image})
        return {self._input: image, **dict(zip(self._values, values, strict=True))}

    def _describe(self, graph: _FloatGraph, name: str, stored: list[str]) -> LayerInfo:
        nodes = graph.nodes_between(name, set(stored))
        main = next((node for node in nodes if node.op_type in WEIGHT_CHANNEL_AXIS), nodes[-1] if nodes else None)
        weights = None if main is None else graph.weights(main)
        quantized = name in self._codes
        return LayerInfo(
            name=name,
            operation=INPUT_OPERATION if main is None else main.op_type,
            codes=self._codes[name][1] if quantized else None,
            computes_float=main is not None and not quantized,
            weights=weights,
            readers=graph.readers(name, stored),
            channel_axis=-1 if main is None else 1,
        )


class _FloatGraph:
    """The graph of a float model.

    Attributes:
        input, output: names of its only input and only output.
        values: names of all values that nodes make, in order.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._model, self._helper = model, numpy_helper
        self.input, self.output = model.graph.input[0].name, model.graph.output[0].name
        self._constants = {item.name: item for item in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._takers: dict[str, list[Any]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._takers[name].append(node)
        self.values = list(self._makers)

    def is_kernel(self, name: str) -> bool:
        """Whether an operation with weights makes a value, perhaps through an activation function."""
        return any(node.op_type in WEIGHT_CHANNEL_AXIS for node in self.nodes_between(name, set()))

    def nodes_between(self, name: str, stored: set[str]) -> list[Any]:
        """The nodes that make a value from the nearest stored ones, in order; with no stored ones: itself and the one before."""
        nodes: list[Any] = []
        waiting = [name]
        while waiting and (stored or len(nodes) < 2):
            node = self._makers.get(waiting.pop())
            if node is not None and node not in nodes:
                nodes.insert(0, node)
                waiting += [taken for taken in node.input if taken not in stored and taken in self._makers]
        return nodes

    def readers(self, name: str, stored: list[str]) -> list[str]:
        """Stored values that are made from a value without another stored one between."""
        known, found, waiting = set(stored), [], [name]
        while waiting:
            for made in (output for node in self._takers[waiting.pop()] for output in node.output):
                if made in known:
                    found.append(made)
                else:
                    waiting.append(made)
        return list(dict.fromkeys(found))

    def weights(self, node: Any) -> np.ndarray | None:
        """Float weights of a node, the output channel first; None where it has none."""
        if node.op_type not in WEIGHT_CHANNEL_AXIS or node.input[1] not in self._constants:
            return None
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        values = self._helper.to_array(self._constants[node.input[1]])
        return np.moveaxis(values, 0 if transposed else WEIGHT_CHANNEL_AXIS[node.op_type], 0)

    def cut_at(self, names: list[str]) -> onnx.ModelProto:
        """The model with these values given from outside, each to all that read it."""
        from onnx import TensorProto, helper

        cut = copy.deepcopy(self._model)
        for node in cut.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = f"{name}{_GIVEN}" if name in names else name
        del cut.graph.input[:], cut.graph.value_info[:]
        cut.graph.input.extend(helper.make_tensor_value_info(f"{name}{_GIVEN}", TensorProto.FLOAT, None) for name in names)
        return cut


def _codes(model: onnx.ModelProto) -> dict[str, tuple[str, TensorCodes]]:
    """Value -> the output of the QuantizeLinear behind it, and its codes."""
    from onnx import numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
        limits = np.iinfo(zero_point.dtype)
        codes = TensorCodes(float(scale), int(zero_point), int(limits.min), int(limits.max))
        found[node.output[0].removesuffix("/quantized")] = node.output[0], codes
    return found


def _with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy of a model whose outputs are these values."""
    changed = copy.deepcopy(model)
    del changed.graph.output[:]
    for name in names:
        output = changed.graph.output.add()
        output.name = name
    return changed


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: Any, names: list[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [np.asarray(value) for value in session.run(names, dict(inputs))]


def _load(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ArtifactError("an .onnx that can be read", f"{path}: {error}", "convert again") from None
