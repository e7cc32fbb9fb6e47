"""Which operation makes the scores of a file that no record tells of, found without an engine or a framework."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from edgecls.formats.files import detect
from edgecls.formats.onnx import protobuf
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.tflite.operations import read_operations

_GRAPH, _NODE, _RESULT, _RESULT_NAME = 7, 1, 12, 1  # fields of ONNX's ModelProto, GraphProto and ValueInfoProto
_INPUT, _OUTPUT, _KIND = 1, 2, 4  # of its NodeProto
_MOVES_TFLITE = {"DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE"}
_MOVES_ONNX = {"Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze"}


def last_operation(path: Path) -> str:
    """Kind of the operation that computes the first output, as its format calls it, what only moves or rounds values passed over.

    Empty for a Core ML package, whose scores are a dictionary, for a SavedModel, which is never without a record, and where there is none.

    Raises:
        ArtifactError: missing or damaged.
    """
    target = detect(path)
    match target:
        case "tflite":
            return next((item.kind for item in reversed(read_operations(path)) if item.kind not in _MOVES_TFLITE), "")
        case "onnx":
            try:
                return _last_of_onnx(mapped(path))
            except DamagedError as error:
                raise damaged(path, target, error) from None
        case "coreml" | "saved_model":
            return ""
        case _:
            assert_never(target)


def _last_of_onnx(data: memoryview) -> str:
    graph = [content for number, content in protobuf.fields(data) if number == _GRAPH]
    parts = list(protobuf.fields(graph[0])) if graph else []
    makers: dict[bytes, tuple[str, bytes]] = {}  # result -> kind of the operation, its first input
    for node in (content for number, content in parts if number == _NODE):
        found = list(protobuf.fields(node))
        kind = next((bytes(content).decode("utf-8", "replace") for number, content in found if number == _KIND), "")
        source = next((bytes(content) for number, content in found if number == _INPUT), b"")
        makers |= {bytes(content): (kind, source) for number, content in found if number == _OUTPUT}
    results = [protobuf.fields(content) for number, content in parts if number == _RESULT]
    name = next((bytes(content) for number, content in results[0] if number == _RESULT_NAME), b"") if results else b""
    while name in makers:
        kind, name = makers.pop(name)
        if kind not in _MOVES_ONNX:
            return kind
    return ""
