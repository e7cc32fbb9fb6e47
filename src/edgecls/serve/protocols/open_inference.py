"""The Open Inference Protocol (KServe, Triton): POST /v2/models/NAME/infer, in JSON, or with binary tensors behind it.

What a tensor is follows from its datatype: FP32 (and FP16, FP64) enters the model as it is; UINT8 is pixels at the model's size, which are
prepared as the artifact says; BYTES are encoded images, which enter by the image contract.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.evaluation.top_predictions import top_predictions
from edgecls.serve.card import Card
from edgecls.serve.limits import Limits
from edgecls.serve.protocols.inputs import (
    Inputs,
    as_numbers,
    decode_all,
    from_base64,
    prepared,
    read_object,
    require_count,
    shown,
    size_of,
)
from edgecls.serve.question import Question, RefusedError, Reply, to_json

INPUT, OUTPUT = "image", "scores"
_KEYS = frozenset(("id", "parameters", "inputs", "outputs"))
_FLOATS = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
_DATATYPES = ("FP32", "FP16", "FP64", "UINT8", "BYTES")
_LENGTH = struct.Struct("<I")  # before each element of a binary BYTES tensor


@dataclass(frozen=True)
class _Wanted:
    """How the scores are wanted.

    Attributes:
        classes: as so many texts `score:index:label`, best first; 0 for numbers.
    """

    is_binary: bool
    classes: int


def read_open_inference(question: Question, card: Card, limits: Limits) -> Inputs:
    """One input tensor.

    Raises:
        RefusedError: the body holds none, or one of another kind.
        DataError: no image, or a damaged one.
    """
    json_bytes = len(question.body) if question.json_bytes is None else question.json_bytes
    if json_bytes > len(question.body):
        raise RefusedError(400, f"expected {json_bytes} bytes of JSON, found a body of {len(question.body)}")
    fields = read_object(question.body[:json_bytes], _KEYS)
    tensors = fields.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise RefusedError(400, "expected inputs as a list of one tensor, found something else")
    identity = fields.get("id", "")
    if not isinstance(identity, str):
        raise RefusedError(400, "expected an id that is a text, found something else")
    wanted = _wanted(fields)
    images, is_prepared = _images(tensors[0], question.body[json_bytes:], card, limits)

    def render(scores: np.ndarray, ms: float) -> Reply:
        return _rendered(scores, card, question, identity, wanted)

    return Inputs(images, render, is_prepared)


def metadata_of(card: Card, name: str, version: str) -> dict[str, Any]:
    """GET /v2/models/NAME."""
    return {
        "name": name,
        "versions": [version],
        "platform": f"edgecls_{card.target}",
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *card.spec.input_shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, card.outputs]}],
    }


def _images(tensor: dict[str, Any], binary: bytes | memoryview, card: Card, limits: Limits) -> tuple[np.ndarray, bool]:
    """The images, and whether they enter as they are."""
    datatype, shape = tensor.get("datatype"), _shape_of(tensor)
    if not isinstance(datatype, str) or datatype not in _DATATYPES:
        raise RefusedError(400, f"expected a datatype among {', '.join(_DATATYPES)}, found {shown(datatype)}")
    require_count(shape[0], limits)
    size = _parameters(tensor).get("binary_data_size")
    if size is None and binary:
        raise RefusedError(400, f"expected no bytes behind the JSON, found {len(binary)}")
    if size is not None and (isinstance(size, bool) or size != len(binary)):
        raise RefusedError(400, f"expected binary_data_size to be {len(binary)}, as many bytes as follow, found {shown(size)}")
    if datatype == "BYTES":
        files = _texts(binary) if size is not None else _encoded(tensor.get("data"))
        if len(files) != size_of(shape):
            raise RefusedError(400, f"expected {size_of(shape)} images as the shape says, found {len(files)}")
        return decode_all(files, card, limits), False
    dtype = _FLOATS.get(datatype, np.dtype(np.uint8))
    values = _from_binary(binary, dtype) if size is not None else as_numbers(tensor.get("data")).reshape(-1)
    if values.size != size_of(shape):
        raise RefusedError(400, f"expected {size_of(shape)} values as the shape says, found {values.size}")
    if datatype == "UINT8":
        return _pixels(values.reshape(shape), card), False
    return prepared(values.reshape(shape), card, limits), True


def _shape_of(tensor: dict[str, Any]) -> list[int]:
    shape = tensor.get("shape")
    is_shape = isinstance(shape, list) and shape and all(type(size) is int and 0 < size < 1 << 31 for size in shape)
    if not is_shape or not isinstance(shape, list):
        raise RefusedError(400, f"expected a shape of whole numbers from 1 on, found {shown(shape)}")
    if not isinstance(tensor.get("name"), str):
        raise RefusedError(400, "expected a tensor with a name, found none")
    return shape


def _pixels(values: np.ndarray, card: Card) -> np.ndarray:
    """uint8 [n, H, W, C]; a missing channel axis is that of grey."""
    spec = card.spec
    wanted = (spec.height, spec.width, spec.channels)
    if values.shape[1:] != wanted and values.shape[1:] != wanted[: 2 if spec.channels == 1 else 3]:
        raise RefusedError(400, f"expected pixels of shape [n, {', '.join(map(str, wanted))}], found {list(values.shape)}")
    pixels = values.astype(np.uint8, copy=False)
    if pixels is not values and not np.array_equal(pixels, values):
        raise RefusedError(400, "expected pixels from 0 to 255, found others")
    return pixels.reshape(-1, *wanted)


def _parameters(fields: dict[str, Any]) -> dict[str, Any]:
    found = fields.get("parameters", {})
    if not isinstance(found, dict):
        raise RefusedError(400, "expected parameters as a JSON object, found something else")
    return found


def _wanted(fields: dict[str, Any]) -> _Wanted:
    """What the client asks of the output."""
    asked = fields.get("outputs", [])
    if not isinstance(asked, list) or len(asked) > 1 or not all(isinstance(output, dict) for output in asked):
        raise RefusedError(400, "expected outputs as a list of one, found something else")
    if asked and asked[0].get("name") != OUTPUT:
        raise RefusedError(400, f"expected the output {OUTPUT}, found {shown(asked[0].get('name'))}")
    own = _parameters(asked[0]) if asked else {}
    is_binary = own.get("binary_data", _parameters(fields).get("binary_data_output", False))
    classes = own.get("classification", 0)
    if not isinstance(is_binary, bool) or type(classes) is not int or classes < 0:
        raise RefusedError(400, "expected binary_data as true or false and classification as a number of classes")
    return _Wanted(is_binary, classes)


def _encoded(data: Any) -> list[bytes]:
    while isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    if not isinstance(data, list):
        raise RefusedError(400, "expected data as a list of base64 texts, found something else")
    return [from_base64(text) for text in data]


def _texts(binary: bytes | memoryview) -> list[bytes]:
    """Elements of a binary BYTES tensor, each behind its length."""
    found, place = [], 0
    while place < len(binary):
        if place + _LENGTH.size > len(binary):
            raise RefusedError(400, "expected the length of an element, found the end")
        [length] = _LENGTH.unpack_from(binary, place)
        place += _LENGTH.size
        if place + length > len(binary):
            raise RefusedError(400, f"expected an element of {length} bytes, found {len(binary) - place}")
        found.append(bytes(binary[place : place + length]))
        place += length
    return found


def _from_binary(binary: bytes | memoryview, dtype: np.dtype) -> np.ndarray:
    if len(binary) % dtype.itemsize:
        raise RefusedError(400, f"expected values of {dtype.itemsize} bytes, found {len(binary)} bytes")
    return np.frombuffer(binary, dtype)


def _rendered(scores: np.ndarray, card: Card, question: Question, identity: str, wanted: _Wanted) -> Reply:
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(scores.shape)}
    texts: list[bytes] = []
    if wanted.classes:
        texts = _classified(scores, card, wanted.classes)
        output |= {"datatype": "BYTES", "shape": [len(scores), len(texts) // len(scores)]}
    binary = b""
    if wanted.is_binary:
        binary = b"".join(_LENGTH.pack(len(text)) + text for text in texts) if texts else scores.astype("<f4").tobytes()
        output["parameters"] = {"binary_data_size": len(binary)}
    else:
        output["data"] = [text.decode() for text in texts] or [float(str(value)) for value in scores.reshape(-1)]
    answer = {"model_name": question.artifact, "model_version": question.version, "outputs": [output]}
    head = to_json(answer | ({"id": identity} if identity else {}))
    return Reply(200, head + binary, json_bytes=len(head) if wanted.is_binary else None)


def _classified(scores: np.ndarray, card: Card, classes: int) -> list[bytes]:
    """`score:index:label` as Triton writes it, the best classes of each image after one another."""
    found = [top_predictions(row, card.output_kind, card.labels, classes) for row in scores]
    return [f"{entry.score:f}:{entry.index}:{entry.label}".encode() for answer in found for entry in answer]
