"""TensorFlow Serving's REST and the Open Inference Protocol, as clients of theirs speak them."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecls.runners import open_runner
from served import LABELS, SIZE, SPEC, Server

V1, V2 = "/v1/models/tiny", "/v2/models/tiny"


@pytest.fixture(scope="module")
def pixels(picture: np.ndarray) -> np.ndarray:
    """uint8 [2, H, W, 3] at the model's size."""
    return np.stack([picture[:SIZE, :SIZE], picture[-SIZE:, -SIZE:]])


@pytest.fixture(scope="module")
def scores(model: Path, pixels: np.ndarray) -> np.ndarray:
    return open_runner(model).predict(pixels)


def encoded(pixels: np.ndarray, path: Path) -> bytes:
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def test_instances_enter_the_model_as_they_are(server: Server, pixels: np.ndarray, scores: np.ndarray) -> None:
    """A client that prepared its images for the model sends what the runner itself would feed; float32 survives JSON."""
    prepared = SPEC.apply(pixels).tolist()
    for path in (f"{V1}:predict", f"{V1}/versions/1:predict"):
        for value in ({"instances": prepared}, {"instances": [{"any": image} for image in prepared]}):
            found = server.post(path, value)
            assert found.status == 200, found.body
            assert np.array_equal(np.array(found.json["predictions"], np.float32), scores)
    for value in (prepared, {"any": prepared}):
        found = server.post(f"{V1}:predict", {"signature_name": "serving_default", "inputs": value})
        assert np.array_equal(np.array(found.json["outputs"], np.float32), scores)


def test_encoded_instances_enter_by_the_image_contract(
    server: Server, pixels: np.ndarray, scores: np.ndarray, tmp_path: Path
) -> None:
    files = [{"b64": base64.b64encode(encoded(image, tmp_path / "a.png")).decode()} for image in pixels]
    found = server.post(f"{V1}:predict", {"signature_name": "serving_bytes", "instances": files})
    assert np.array_equal(np.array(found.json["predictions"], np.float32), scores)
    [first] = server.post(f"{V1}:predict", {"signature_name": "classify", "inputs": [files[0]]}).json["outputs"]["labels"]
    assert first == [LABELS[index] for index in np.argsort(-scores[0])]


def test_models_are_described(server: Server) -> None:
    assert server.ask("GET", V1).json["model_version_status"][0]["state"] == "AVAILABLE"
    signatures = server.ask("GET", f"{V1}/versions/1/metadata").json["metadata"]["signature_def"]["signature_def"]
    sizes = [dim["size"] for dim in signatures["serving_default"]["inputs"]["image"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", str(SIZE), str(SIZE), "3"]
    assert server.ask("GET", V2).json["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, SIZE, SIZE, 3]}]
    assert server.ask("GET", f"{V2}/ready").json == {"name": "tiny", "ready": True}
    assert server.ask("GET", "/v2/health/live").json == {"live": True}
    for path in ("/v1/models/other", f"{V1}/versions/2", "/v2/models/other", f"{V2}/versions/2/ready"):
        assert server.ask("GET", path).status == 404


def tensor(values: np.ndarray, datatype: str, **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": datatype, "shape": list(values.shape), **more}


def test_tensors_in_json(server: Server, pixels: np.ndarray, scores: np.ndarray) -> None:
    """Floats as they are, pixels by the model's preprocessing; flat and nested."""
    for values, datatype in ((SPEC.apply(pixels), "FP32"), (SPEC.apply(pixels).astype(np.float64), "FP64"), (pixels, "UINT8")):
        for data in (values.tolist(), values.reshape(-1).tolist()):
            found = server.post(f"{V2}/infer", {"id": "7", "inputs": [tensor(values, datatype, data=data)]})
            assert found.status == 200, found.body
            [output] = found.json["outputs"]
            assert (found.json["id"], output["shape"]) == ("7", [2, 3])
            assert np.array_equal(np.array(output["data"], np.float32).reshape(2, 3), scores)


@pytest.mark.parametrize("datatype", ["FP32", "UINT8"])
def test_tensors_in_binary(server: Server, pixels: np.ndarray, scores: np.ndarray, datatype: str) -> None:
    values = SPEC.apply(pixels) if datatype == "FP32" else pixels
    binary = values.tobytes()
    head = {
        "inputs": [tensor(values, datatype, parameters={"binary_data_size": len(binary)})],
        "outputs": [{"name": "scores", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(head).encode()
    found = server.ask("POST", f"{V2}/infer", text + binary, Inference_Header_Content_Length=str(len(text)))
    assert found.status == 200, found.body
    length = int(found.headers["inference-header-content-length"])
    assert json.loads(found.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert np.array_equal(np.frombuffer(found.body[length:], "<f4").reshape(2, 3), scores)


def test_an_id_comes_back_even_if_no_text_of_utf8(server: Server, pixels: np.ndarray) -> None:
    value = {"id": "\ud800", "inputs": [tensor(pixels, "UINT8", data=pixels.tolist())]}
    assert server.post(f"{V2}/infer", value).json["id"] == "\ud800"


def test_encoded_images_and_classes(server: Server, pixels: np.ndarray, scores: np.ndarray, tmp_path: Path) -> None:
    content = encoded(pixels[0], tmp_path / "a.png")
    best = int(np.argmax(scores[0]))
    wanted = [{"name": "scores", "parameters": {"classification": 1}}]
    value = {
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(content).decode()]}],
        "outputs": wanted,
    }
    expected = f"{scores[0, best]:f}:{best}:{LABELS[best]}"
    assert server.post(f"{V2}/infer", value).json["outputs"][0]["data"] == [expected]
    binary = struct.pack("<I", len(content)) + content
    value["inputs"] = [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(binary)}}]
    text = json.dumps(value).encode()
    found = server.ask("POST", f"{V2}/infer", text + binary, Inference_Header_Content_Length=str(len(text)))
    assert found.json["outputs"][0]["data"] == [expected]


ONE = [[[[0.5] * 3] * SIZE] * SIZE]
FLAT = [0.5] * (3 * SIZE * SIZE)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        5,
        {"instances": []},
        {"instances": 5},
        {"instances": ONE, "inputs": ONE},
        {"instances": ONE, "signature_name": "other"},
        {"instances": ONE, "more": 1},
        {"instances": [[1, 2], [3]]},
        {"instances": [[["a"]]]},
        {"instances": [[[[True] * 3] * SIZE] * SIZE]},
        {"instances": [[[[1e39] * 3] * SIZE] * SIZE]},
        {"instances": [[[[10**400] * 3] * SIZE] * SIZE]},
        {"instances": ONE[0]},
        {"instances": [{"b64": "aGFsbG8="}]},
        {"instances": [{"b64": 5}]},
        {"instances": [{"b64": "aGFsbG8="}, ONE[0]]},
        {"inputs": {"a": ONE, "b": ONE}},
    ],
)
def test_what_tensorflow_serving_would_not_take_is_refused(server: Server, value: Any) -> None:
    found = server.post(f"{V1}:predict", value)
    assert (found.status, "error" in found.json) == (400, True), found.body


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": []},
        {"inputs": [5]},
        {"id": 5},
        {"more": 1},
        {"outputs": [{"name": "other"}]},
        {"outputs": [{"name": "scores", "parameters": {"classification": -1}}]},
        {"outputs": [{"name": "scores", "parameters": {"binary_data": 1}}]},
        {"parameters": 5},
        {"shape": [1]},
        {"shape": [0, SIZE, SIZE, 3]},
        {"shape": [1000, SIZE, SIZE, 0]},  # more images than are taken, and none that could be
        {"shape": [-1, SIZE, SIZE, 3]},
        {"shape": [1, SIZE, SIZE, 3.0]},
        {"shape": "1"},
        {"datatype": "INT64"},
        {"datatype": "UINT8"},
        {"datatype": "BYTES"},
        {"datatype": "UINT8", "data": [256] * len(FLAT)},
        {"data": FLAT[1:]},
        {"data": None},
        {"data": "abc"},
        {"name": 5},
        {"parameters": {"binary_data_size": 5}},
    ],
)
def test_what_the_open_inference_protocol_forbids_is_refused(server: Server, change: dict[str, Any]) -> None:
    whole = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, SIZE, SIZE, 3], "data": FLAT}]}
    assert server.post(f"{V2}/infer", whole).status == 200
    of_tensor = change.keys() & {"shape", "datatype", "data", "name"} or change == {"parameters": {"binary_data_size": 5}}
    value = {"inputs": [whole["inputs"][0] | change]} if of_tensor else whole | change
    found = server.post(f"{V2}/infer", value)
    assert (found.status, "error" in found.json) == (400, True), found.body


@pytest.mark.parametrize("length", ["-1", "x", "1000000", "5"])
def test_a_wrong_length_of_the_json_is_refused(server: Server, length: str) -> None:
    body = json.dumps({"inputs": []}).encode()
    assert server.ask("POST", f"{V2}/infer", body, Inference_Header_Content_Length=length).status == 400


def test_as_many_images_as_are_taken(server: Server) -> None:
    assert server.post(f"{V1}:predict", {"instances": ONE * 64}).status == 200
    assert server.post(f"{V1}:predict", {"instances": ONE * 65}).status == 413
    endless = {"name": "image", "datatype": "FP32", "shape": [1 << 30] * 4, "data": FLAT}
    assert server.post(f"{V2}/infer", {"inputs": [endless]}).status == 413
