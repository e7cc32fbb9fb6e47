"""What is in a SavedModel that edgecls made, read from its protocol buffer without TensorFlow."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecls.errors import ArtifactError
from edgecls.formats.computing_operations import COMPUTING
from edgecls.formats.description import FileDescription, Layer, TensorInfo
from edgecls.formats.embedded_record import read_record
from edgecls.formats.files import file_sizes
from edgecls.formats.onnx.protobuf import fields, numbers, pair_of
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.saved_model.layout import ENCODED, GRAPH_NAME, IMAGES, SCORES, version_folder
from edgecls.records.artifact import Actual

# Fields of TensorFlow's messages: SavedModel, MetaGraphDef, GraphDef, FunctionDefLibrary, FunctionDef, NodeDef, AttrValue, TensorProto.
_META_GRAPHS, _GRAPH, _NODES, _LIBRARY, _FUNCTIONS = 2, 2, 1, 2, 1
_SIGNATURE, _SIGNATURE_NAME, _FUNCTION_NODES = 1, 1, 3
_NODE_NAME, _NODE_OP, _ATTRIBUTES, _ATTR_TENSOR = 1, 2, 5, 8
_TENSOR_DTYPE, _TENSOR_SHAPE, _DIMENSIONS, _SIZE = 1, 2, 2, 1
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 19: "float16"}
_BYTES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "float16": 2}
_LEAST_WEIGHTS = 2  # axes of a constant that counts as weights; shapes, axes and biases have fewer
_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "Placeholder", "NoOp", "Identity"}
# What reading pictures, the table of labels and TensorFlow's own way of saving add to operations that only compute.
_OURS = {
    "Assert", "DecodeJpeg", "DecodePng", "DecodeRaw", "Substr", "StringLength", "RegexFullMatch", "SparseTensorDenseMatMul",
    "InitializeTableFromTextFileV2", "StatelessIf", "If", "StatelessWhile", "While", "TensorListReserve", "TensorListStack",
    "TensorListSetItem", "TensorListGetItem", "TensorListFromTensor", "ResizeBilinear", "TopKV2", "NoOp", "PartitionedCall",
    "StatefulPartitionedCall",
}  # fmt: skip
_SAVING = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "Pack", "StaticRegexFullMatch"}
_SAVERS = ("__inference__traced_save", "__inference__traced_restore")


@dataclass(frozen=True)
class Node:
    """An operation of a function, with the dtype and shape of its constant where it is one."""

    function: str
    name: str
    operation: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


def describe_saved_model(path: Path) -> FileDescription:
    """Everything about a SavedModel of ours.

    Raises:
        ArtifactError: missing, damaged, or without edgecls's record.
    """
    record = read_record(path)
    if record is None:
        raise ArtifactError(
            "a SavedModel that edgecls made",
            f"{path} without its record",
            "inspect others as a model: name the folder of saved_model.pb",
        )
    nodes = read_nodes(path)
    weights = [node for node in nodes if node.operation == "Const" and len(node.shape) >= _LEAST_WEIGHTS and node.dtype]
    dtypes = collections.Counter[str]()
    for node in weights:
        dtypes[node.dtype] += math.prod(node.shape)
    operations = collections.Counter(node.operation for node in nodes if node.operation not in ("Const", *_CALLS))
    layers = [
        Layer(
            name=node.name,
            operation=node.operation,
            elements=math.prod(node.shape),
            size_bytes=math.prod(node.shape) * _BYTES[node.dtype],
            dtype=node.dtype,
            sparsity=0.0,
        )
        for node in weights
    ]
    source = [None, *record.image_spec.input_shape]
    return FileDescription(
        format="TensorFlow SavedModel",
        inputs=[TensorInfo(name=IMAGES, shape=source, dtype="float32"), TensorInfo(name=ENCODED, shape=[None], dtype="string")],
        outputs=[TensorInfo(name=SCORES, shape=[None, record.outputs], dtype="float32")],
        actual=Actual(
            weight_dtypes=dict(dtypes),
            activation_dtypes={"float32": sum(operations.values())},
            operations=dict(operations),
            input_dtype="float32",
            output_dtype="float32",
        ),
        layers=layers,
        metadata={},
        record=record,
        size_bytes=file_sizes(path)[0],
    )


def require_computing(path: Path) -> None:
    """Refuse a SavedModel whose functions hold other operations than ours do.

    Raises:
        ArtifactError: it does, or is damaged.
    """
    for node in read_nodes(path):
        allowed = node.operation in COMPUTING or node.operation in _OURS
        if not (allowed or (node.operation in _SAVING and node.function.startswith(_SAVERS))):
            found = f"{path} with {node.operation}"
            raise ArtifactError(
                "operations that only compute", found, "it is not as `edgecls convert` wrote it: convert it again"
            )


def read_nodes(path: Path) -> list[Node]:
    """The operations of all functions.

    Raises:
        ArtifactError: damaged.
    """
    try:
        return list(_nodes(mapped(version_folder(path) / GRAPH_NAME)))
    except DamagedError as error:
        raise damaged(path, "saved_model", error) from None


def _nodes(data: memoryview) -> Iterator[Node]:
    for function in _nested(data, _META_GRAPHS, _GRAPH, _LIBRARY, _FUNCTIONS):
        name = next((_text(found) for found in _nested(function, _SIGNATURE, _SIGNATURE_NAME)), "")
        for node in _nested(function, _FUNCTION_NODES):
            yield _node(name, node)


def _node(function: str, data: memoryview) -> Node:
    texts: dict[int, str] = {}
    tensor: memoryview | None = None
    for number, content in fields(data):
        if number in (_NODE_NAME, _NODE_OP):
            texts[number] = _text(content)
        elif number == _ATTRIBUTES:
            key, value = pair_of(content)
            tensor = next(_nested(value, _ATTR_TENSOR), tensor) if key == "value" else tensor
    name, operation = texts.get(_NODE_NAME, ""), texts.get(_NODE_OP, "")
    if tensor is None:
        return Node(function, name, operation)
    dtype = _DTYPES.get(numbers(tensor).get(_TENSOR_DTYPE, 0), "")
    shape = tuple(numbers(size).get(_SIZE, 0) for size in _nested(tensor, _TENSOR_SHAPE, _DIMENSIONS))
    return Node(function, name, operation, dtype, shape)


def _nested(data: memoryview, *path: int) -> Iterator[memoryview]:
    first, *rest = path
    for number, content in fields(data):
        if number == first:
            yield from _nested(content, *rest) if rest else [content]


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", "replace")
