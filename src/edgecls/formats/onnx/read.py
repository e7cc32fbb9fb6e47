"""What is in an .onnx. In a QDQ graph the pairs QuantizeLinear, DequantizeLinear say what the runtime computes in integers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.formats.description import FileDescription, Layer, TensorInfo
from edgecls.formats.embedded_record import parse_record
from edgecls.formats.onnx.sums import clipped_operations
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.weights import Weight, distinct_values_of, elements_by_dtype, layer_of, sparsity_of
from edgecls.records.artifact import Actual, FloatRemainder
from edgecls.records.metadata import METADATA_KEY

if TYPE_CHECKING:
    import onnx

_RENAMED = {"float": "float32", "double": "float64"}
_BITS = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2, "bool": 8}  # the others end with theirs, or are 8 wide
_NUMPY = {"float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64"}
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_INTEGERS = {"int8", "uint8", "int16", "uint16", "int4", "uint4"}  # dtypes of quantized activations
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_UNPACKS = {_QUANTIZE, _DEQUANTIZE, "Cast", "Identity", "Transpose"}  # of a constant these make a constant
_FUSED_BEHIND = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid"}  # runtimes compute these with the operation before them
_KERNELS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # operations that no runtime computes in integers with float weights
_FLOAT_OUTPUT = {"MatMul", "Gemm"}  # integer kernels exist that answer in float
_NO_ARITHMETIC = {
    _QUANTIZE,
    _DEQUANTIZE,
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Identity",
    "Cast",
    "Constant",
}
_PARAMETERS = {  # operation -> inputs that are no weights: scales, zero points, bounds, shapes
    _QUANTIZE: {1, 2},
    _DEQUANTIZE: {1, 2},
    "QLinearConv": {1, 2, 4, 5, 6, 7},  # other QLinear operations: every scalar
    "QLinearMatMul": {1, 2, 4, 5, 6, 7},
    "QGemm": {1, 2, 4, 5, 7, 8},
    "ConvInteger": {2, 3},
    "MatMulInteger": {2, 3},
    "Clip": {1, 2},
    "Pad": {1, 2, 3},
    "Resize": {1, 2, 3},
}
_INTEGER_BIAS = {"QLinearConv": 8, "QGemm": 6}  # operation -> the int32 input that is its bias
_OUTPUT_DTYPES = {"Shape": "int64", "Size": "int64", "ArgMax": "int64", "ArgMin": "int64", "DynamicQuantizeLinear": "uint8"}
_REASONS = {  # why operations commonly stay float in a quantized file
    "Softmax": "it keeps float resolution: its integer form has steps of 1/256",
    "Sigmoid": "the last step to probabilities keeps float resolution",
}
_OTHER_REASON = "it stands outside the pairs of QuantizeLinear and DequantizeLinear"
_SHOWN = 2000  # longest metadata value, in characters


@dataclass
class _OnnxFile:
    """The main graph's names looked up: constants, who makes and who takes each tensor."""

    nodes: list[Any]
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    constants: dict[str, Any]  # name -> TensorProto
    folded: dict[str, str] = field(default_factory=dict)  # tensor -> the constant it is unpacked from
    unpacked_by: dict[str, Any] = field(default_factory=dict)  # constant -> its DequantizeLinear
    makers: dict[str, Any] = field(default_factory=dict)
    takers: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    dtypes: dict[str, str] = field(default_factory=dict)

    def activations(self, names: list[str]) -> list[str]:
        return [name for name in names if name and name not in self.folded]


def describe_onnx(path: Path) -> FileDescription:
    """Everything about an .onnx. Weights kept in other files are counted, not looked into.

    Raises:
        ArtifactError: missing or damaged.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    data = mapped(path)
    model = ModelProto()
    try:
        model.ParseFromString(bytes(data))
        return _describe(model, path, len(data))
    except (DecodeError, DamagedError) as error:
        raise damaged(path, "onnx", error) from None


def _describe(model: onnx.ModelProto, path: Path, size: int) -> FileDescription:
    _check_text(model)
    graph = _graph(model.graph)
    props = {entry.key: entry.value for entry in model.metadata_props}
    record = props.get(METADATA_KEY)
    layers = _layers(graph)
    return FileDescription(
        format=f"ONNX, IR {model.ir_version}",
        inputs=graph.inputs,
        outputs=graph.outputs,
        actual=_actual(graph, layers),
        layers=[layer for layer, _ in layers],
        metadata=_texts(model, props),
        record=None if record is None else parse_record(record, path),
        size_bytes=size,
        clipped_operations=clipped_operations(graph, lambda name: _weight(graph, name).values),
    )


def _check_text(model: onnx.ModelProto) -> None:
    """Refuse names that are no UTF-8, which protobuf hands out as bytes."""
    graph = model.graph
    texts: list[Any] = [model.producer_name, model.producer_version, model.doc_string, graph.name]
    texts += [text for entry in model.metadata_props for text in (entry.key, entry.value)]
    texts += [entry.domain for entry in model.opset_import]
    texts += [item.name for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer)]
    texts += [text for node in graph.node for text in (node.name, node.op_type, *node.input, *node.output)]
    for text in texts:
        if not isinstance(text, str):
            raise DamagedError(f"the name {text[:80]!r} is no UTF-8")


def _graph(proto: onnx.GraphProto) -> _OnnxFile:
    constants = {tensor.name: tensor for tensor in proto.initializer}
    made = [(node, attribute) for node in proto.node if node.op_type == "Constant" for attribute in node.attribute]
    constants.update({node.output[0]: attribute.t for node, attribute in made if attribute.name == "value" and node.output})
    graph = _OnnxFile(
        nodes=list(proto.node),
        inputs=[_tensor_info(value) for value in proto.input if value.name not in constants],
        outputs=[_tensor_info(value) for value in proto.output],
        constants=constants,
        folded={name: name for name in constants},
        dtypes={value.name: _tensor_info(value).dtype for value in (*proto.input, *proto.value_info, *proto.output)},
    )
    known = {*constants, *(info.name for info in graph.inputs)}
    for node in graph.nodes:
        if missing := [name for name in node.input if name and name not in known]:
            raise DamagedError(f"operation {node.name or node.op_type!r} takes {missing[0][:80]!r}, which nothing makes")
        known.update(node.output)
        _enter(graph, node)
    if not graph.nodes or not graph.outputs or not {info.name for info in graph.outputs} <= known:
        raise DamagedError("its graph has no operations or no outputs")
    return graph


def _enter(graph: _OnnxFile, node: Any) -> None:
    """Look up one node. Nodes come in order of execution, so what they take is known already."""
    for name in node.input:
        graph.takers[name].append(node)
    for name in node.output:
        graph.makers[name] = node
    source = node.input[0] if node.input else ""
    if node.op_type in _UNPACKS and source in graph.folded and node.output:
        graph.folded[node.output[0]] = graph.folded[source]
        if node.op_type == _DEQUANTIZE:
            graph.unpacked_by.setdefault(graph.folded[source], node)
    for name in node.output:
        graph.dtypes.setdefault(name, _made_dtype(graph, node))


def _made_dtype(graph: _OnnxFile, node: Any) -> str:
    """dtype of what a node makes, where the file does not say it."""
    if node.op_type == _QUANTIZE:
        zero_point = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
        return "uint8" if zero_point is None else _dtype(zero_point.data_type)
    if node.op_type in _OUTPUT_DTYPES:
        return _OUTPUT_DTYPES[node.op_type]
    source = node.input[1 if node.op_type == _DEQUANTIZE and len(node.input) > 1 else 0] if node.input else ""
    for attribute in node.attribute:
        if attribute.name == "to" and node.op_type == "Cast":
            return _dtype(attribute.i)
    if source in graph.constants:
        return _dtype(graph.constants[source].data_type)
    return graph.dtypes.get(source, "float32")


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
    return TensorInfo(name=value.name, shape=shape, dtype=_dtype(tensor.elem_type))


def _dtype(number: int) -> str:
    from onnx import TensorProto

    if number not in TensorProto.DataType.values():
        raise DamagedError(f"a tensor of the unknown type {number}")
    name = TensorProto.DataType.Name(number).lower()
    return _RENAMED.get(name, name)


def _bits(dtype: str) -> int:
    digits = "".join(character for character in dtype[-2:] if character.isdigit())
    return _BITS.get(dtype) or (int(digits) if digits and not dtype.startswith("float8") else 8)


def _is_weight(graph: _OnnxFile, node: Any, index: int) -> bool:
    """Whether a constant input holds values: float or quantized. Plain integers are shapes, axes and paddings."""
    name = graph.folded[node.input[index]]
    if index in _PARAMETERS.get(node.op_type, ()) or (node.op_type.startswith("QLinear") and not graph.constants[name].dims):
        return False
    dtype = _dtype(graph.constants[name].data_type)
    quantized = dtype in _INTEGERS or name in graph.unpacked_by or index == _INTEGER_BIAS.get(node.op_type)
    return quantized or dtype in _FLOATS or dtype.startswith("float")


def _weight(graph: _OnnxFile, name: str) -> Weight:
    tensor = graph.constants[name]
    dtype = _dtype(tensor.data_type)
    elements = math.prod(tensor.dims)
    if any(axis < 0 for axis in tensor.dims) or elements > 2**40:
        raise DamagedError(f"constant {name[:80]!r} has the shape {list(tensor.dims)[:16]}")
    zero_points, axis = _zero_points(graph, name)
    size = (elements * _bits(dtype) + 7) // 8
    return Weight(dtype, elements, size, len(tensor.dims), _values(tensor, name, dtype, elements), zero_points, axis)


def _values(tensor: Any, name: str, dtype: str, elements: int) -> np.ndarray | None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or dtype not in _NUMPY:
        return None
    try:
        if tensor.HasField("raw_data"):
            return np.frombuffer(tensor.raw_data, np.dtype(dtype).newbyteorder("<")).reshape(tuple(tensor.dims))
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise DamagedError(f"constant {name[:80]!r} of {elements} elements: {error}") from None


def _zero_points(graph: _OnnxFile, name: str) -> tuple[np.ndarray, int]:
    """Zero points and axis of the DequantizeLinear that unpacks a constant."""
    node = graph.unpacked_by.get(name)
    zero_name = node.input[2] if node is not None and len(node.input) > 2 else ""
    if node is None or zero_name not in graph.constants:
        return np.zeros(0, np.int64), 0
    zero = graph.constants[zero_name]
    values = _values(zero, zero_name, _dtype(zero.data_type), math.prod(zero.dims))
    points = np.zeros(0, np.int64) if values is None else values.astype(np.int64).reshape(-1)
    dims = graph.constants[name].dims
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    axis += len(dims) if axis < 0 else 0
    if points.size > 1 and (not 0 <= axis < len(dims) or dims[axis] != points.size):
        raise DamagedError(f"constant {name[:80]!r} has {points.size} zero points on axis {axis}")
    return points, axis


def _layers(graph: _OnnxFile) -> list[tuple[Layer, list[Weight]]]:
    """Operations that carry weights. A constant is counted at its first use, an unpacked one where it is computed with."""
    found, seen = [], set()
    for node in graph.nodes:
        if node.op_type in _UNPACKS and not graph.activations(list(node.output)):
            continue
        weights = []
        for index, taken in enumerate(node.input):
            name = graph.folded.get(taken)
            if name is None or name in seen or not _is_weight(graph, node, index):
                continue
            seen.add(name)
            weights.append(_weight(graph, name))
        if weights:
            found.append((layer_of(_name(node), node.op_type, weights), weights))
    return found


def _actual(graph: _OnnxFile, layers: list[tuple[Layer, list[Weight]]]) -> Actual:
    weights = [weight for _, found in layers for weight in found]
    return Actual(
        weight_dtypes=elements_by_dtype(weights),
        activation_dtypes=dict(_between(graph)),
        operations=dict(Counter(node.op_type for node in graph.nodes)),
        stayed_float=_stayed_float(graph),
        sparsity=sparsity_of(weights),
        distinct_values=distinct_values_of(layers),
        input_dtype=graph.inputs[0].dtype if graph.inputs else "none",
        output_dtype=graph.outputs[0].dtype,
    )


def _between(graph: _OnnxFile) -> Counter[str]:
    """dtypes of the tensors that one operation makes and another takes; a pair of Quantize and Dequantize is no operation."""
    counts: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op_type in (_QUANTIZE, _DEQUANTIZE):
            continue
        for name in graph.activations(list(node.output)):
            counts.update({dtype for taker in graph.takers[name] for dtype in _taken_dtypes(graph, name, taker)})
    return counts


def _taken_dtypes(graph: _OnnxFile, name: str, taker: Any) -> set[str]:
    """dtype in which an operation behind `taker` gets the tensor `name`; none where only the graph's output does."""
    if taker.op_type not in (_QUANTIZE, _DEQUANTIZE):
        return {graph.dtypes[name]}
    behind = [other for made in taker.output for other in graph.takers[made]]
    if taker.op_type == _QUANTIZE:
        behind = [other for node in behind for made in node.output for other in graph.takers[made] if node.op_type == _DEQUANTIZE]
        return {graph.dtypes[taker.output[0]]} if behind else set()
    return {graph.dtypes[name]} if behind else set()


def _stayed_float(graph: _OnnxFile) -> list[FloatRemainder]:
    if not _INTEGERS & {graph.dtypes[name] for node in graph.nodes for name in graph.activations(list(node.output))}:
        return []
    return [
        FloatRemainder(operation=node.op_type, name=_name(node), reason=_REASONS.get(node.op_type, _OTHER_REASON))
        for node in graph.nodes
        if node.op_type not in _NO_ARITHMETIC and _is_float(graph, node) and not _is_integer_form(graph, node)
    ]


def _is_integer_form(graph: _OnnxFile, node: Any) -> bool:
    """Whether an engine computes a float node in integers: everything it takes is dequantized, and what it makes is quantized again."""
    makers = [graph.makers.get(name) for name in graph.activations(list(node.input))] if node.op_type in _FUSED_BEHIND else []
    computed = [node, *(maker for maker in makers if maker is not None)]
    return _enters(graph, node) and _leaves(graph, node) and not any(_has_float_kernel(graph, item) for item in computed)


def _has_float_kernel(graph: _OnnxFile, node: Any) -> bool:
    """Whether a node computes with float weights that no runtime turns into integers by itself.

    onnxruntime does so for convolutions and Gemm (not MatMul) behind a DequantizeLinear with one scale.
    """
    maker = graph.makers.get(node.input[0]) if node.input else None
    scale = graph.constants.get(maker.input[1]) if maker is not None and maker.op_type == _DEQUANTIZE else None
    if node.op_type != "MatMul" and scale is not None and not math.prod(scale.dims) > 1:
        return False
    names = [
        graph.folded[name] for index, name in enumerate(node.input) if name in graph.folded and _is_weight(graph, node, index)
    ]
    return node.op_type in _KERNELS and any(
        len(graph.constants[name].dims) > 1 and _dtype(graph.constants[name].data_type) in _FLOATS for name in names
    )


def _is_float(graph: _OnnxFile, node: Any) -> bool:
    names = graph.activations([*node.input, *node.output])
    return bool(names) and all(graph.dtypes[name] in _FLOATS for name in names)


def _enters(graph: _OnnxFile, node: Any) -> bool:
    """Whether all activations a node takes come from a DequantizeLinear, or from an operation it is fused behind."""
    makers = [graph.makers.get(name) for name in graph.activations(list(node.input))]
    return all(
        maker is not None and (maker.op_type == _DEQUANTIZE or (node.op_type in _FUSED_BEHIND and _enters_directly(graph, maker)))
        for maker in makers
    )


def _enters_directly(graph: _OnnxFile, node: Any) -> bool:
    makers = [graph.makers.get(name) for name in graph.activations(list(node.input))]
    return bool(makers) and all(maker is not None and maker.op_type in {_DEQUANTIZE, *_FUSED_BEHIND} for maker in makers)


def _leaves(graph: _OnnxFile, node: Any) -> bool:
    """Whether all a node makes goes into a QuantizeLinear, directly or behind an operation fused with it."""
    if node.op_type in _FLOAT_OUTPUT:
        return True
    takers = [taker for name in node.output for taker in graph.takers[name]]
    return bool(takers) and all(taker.op_type == _QUANTIZE or _is_fused_into(graph, taker) for taker in takers)


def _is_fused_into(graph: _OnnxFile, node: Any) -> bool:
    behind = [taker for name in node.output for taker in graph.takers[name]]
    fused = {_QUANTIZE, "Mul"}  # x * sigmoid(x), the swish
    return node.op_type in _FUSED_BEHIND and bool(behind) and all(taker.op_type in fused for taker in behind)


def _name(node: Any) -> str:
    return node.name or (node.output[0] if node.output else "")


def _texts(model: onnx.ModelProto, props: dict[str, str]) -> dict[str, str]:
    texts = {
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "opset": ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import),
        "graph": model.graph.name,
        "description": model.doc_string,
        **{key: value for key, value in props.items() if key != METADATA_KEY},
    }
    return {name: text[:_SHOWN] for name, text in texts.items() if text}
