"""Profiles: from given events and nodes by hand, and of real files by the real engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.errors import ArtifactError
from edgecls.runners import open_runner, profile_artifact
from edgecls.runners.delegation import delegated_nodes
from edgecls.runners.profile import delegation_words, onnx_profile


def event(node: int, operation: str, dtype: str, microseconds: int) -> dict[str, Any]:
    arguments = {"op_name": operation, "node_index": str(node), "input_type_shape": [{dtype: [1, 8]}, {"float": []}]}
    return {"cat": "Node", "name": f"layer{node}_kernel_time", "dur": microseconds, "args": arguments}


def test_an_onnx_profile_by_hand() -> None:
    runs = [
        [event(0, "QuantizeLinear", "float", 9000), event(1, "QLinearConv", "uint8", 9000), event(2, "Conv", "float", 9000)],
        [event(0, "QuantizeLinear", "float", 100), event(1, "QLinearConv", "uint8", 500), event(2, "Conv", "float", 400)],
        [event(0, "QuantizeLinear", "float", 100), event(1, "QLinearConv", "uint8", 500), event(2, "Conv", "float", 400)],
    ]
    session = {"cat": "Session", "name": "model_run", "dur": 10**6, "args": {}}
    profile = onnx_profile([session, *(found for run in runs for found in run)], skipped=1, quantized=True)
    assert (profile.runs, profile.total_ms) == (2, pytest.approx(1.0))  # the first, slow run is left out
    assert [(found.operation, found.name, found.dtype) for found in profile.operations] == [
        ("QLinearConv", "layer1", "uint8"),
        ("Conv", "layer2", "float32"),
        ("QuantizeLinear", "layer0", "float32"),
    ]
    assert profile.float_share == pytest.approx(0.4)
    assert profile.unaccelerated_share == pytest.approx(0.5)
    assert profile.words == [
        "most of the time: QLinearConv 50%, Conv 40%, QuantizeLinear 10%",
        "40% of the time computes in float (1 Conv)",
        "10% of the time converts between dtypes and layouts (1 QuantizeLinear)",
    ]


def node(index: int, operation: str, inputs: list[int], outputs: list[int], dtype: type = np.int8) -> dict[str, Any]:
    return {"index": index, "op_name": operation, "inputs": inputs, "outputs": outputs, "operand_types": [dtype] * len(inputs)}


GRAPH = [  # 0 -> CONV_2D -> 1 -> POOL -> 2 -> FULLY_CONNECTED -> 3 -> SOFTMAX -> 4, the pool outside two delegate nodes
    node(0, "CONV_2D", [0, 10], [1]),
    node(1, "POOL", [1], [2]),
    node(2, "FULLY_CONNECTED", [2, 11], [3]),
    node(3, "SOFTMAX", [3], [4], np.float32),
    node(4, "DELEGATE", [0, 10], [1]),
    node(5, "DELEGATE", [2, 11], [4]),
]


def test_what_a_delegate_runs_lies_between_its_outputs_and_inputs() -> None:
    assert delegated_nodes(GRAPH) == {0, 2, 3}
    assert delegated_nodes(GRAPH[:4]) == set()


def test_delegation_in_words() -> None:
    assert delegation_words(GRAPH, True, 5.2) == [
        "XNNPACK runs 3 of 4 operations and makes an inference 5.2 times as fast as without it",
        "outside XNNPACK: 1 POOL, which splits its part in 2",
        "computes in float: 1 SOFTMAX; converts: nothing",
    ]


def test_real_files(foreign_tflite: dict[str, Path], foreign_onnx: dict[str, Path]) -> None:
    for path in (foreign_onnx["float32"], foreign_tflite["float32"]):
        profile = profile_artifact(path, spec=open_runner(path).spec, threads=1, runs=5)
        assert profile.runs == 5
        assert profile.total_ms > 0
    floats = profile_artifact(foreign_onnx["float32"], spec=open_runner(foreign_onnx["float32"]).spec, threads=1, runs=5)
    assert floats.operations[0].operation == "Conv"  # a ResNet
    assert sum(found.share for found in floats.operations) == pytest.approx(1.0)
    assert floats.float_share is not None and floats.float_share > 0.5


def test_the_delegate_is_what_litert_really_applied(foreign_tflite: dict[str, Path]) -> None:
    from edgecls.runners.tflite import TFLiteRunner

    path = foreign_tflite["float32"]
    spec = open_runner(path).spec
    engine, plain = TFLiteRunner(path, spec, None, 1).engine(), TFLiteRunner(path, spec, None, 1, delegates=False).engine()
    assert (engine.delegate, engine.verified, engine.delegated_operations) == ("XNNPACK", True, engine.operations)
    assert (plain.delegate, plain.delegated_operations, plain.operations) == ("none", 0, engine.operations)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_batch_answers_as_its_images_one_by_one(
    foreign_tflite: dict[str, Path], foreign_onnx: dict[str, Path], kind: str
) -> None:
    for files in (foreign_tflite, foreign_onnx):
        if kind not in files:
            continue
        runner = open_runner(files[kind])
        images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
        expected = runner.predict(images)
        taken = runner.set_batch(4)
        assert taken in (1, 4)
        runner.prepare(images[:taken])
        runner.invoke()
        assert runner.set_batch(1) == 1
        assert np.array_equal(runner.predict(images), expected)  # a batch leaves nothing behind


def test_core_ml_has_no_profile(tmp_path: Path) -> None:
    (tmp_path / "a.mlpackage").mkdir()
    with pytest.raises(ArtifactError):
        profile_artifact(tmp_path / "a.mlpackage", spec=None, threads=1, runs=1)  # type: ignore[arg-type]
