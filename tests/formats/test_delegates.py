"""What accelerators would not take: XNNPACK's list held against LiteRT itself, which has it; the others against what their lists say of
files whose operations are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mil_packages
from edgecls.errors import InputError
from edgecls.formats.delegates import Delegate, delegates
from edgecls.system.extras import require
from gate_folder import make_folder
from written_tflite import classifier

SCHEMES = ["float32", "float16", "dynamic", "int8", "int8-io"]


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Operations of which some delegates do not take some."""
    tf = require("tensorflow")

    def call(image: Any) -> Any:
        value = tf.nn.conv2d(image, tf.ones((3, 3, 3, 4)), 1, "SAME")
        value = tf.pad(value, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        value = tf.nn.gelu(value) + tf.cumsum(value, axis=1)
        value = tf.reshape(value, (1, 2, 5, 10, 2, 2))
        value = tf.transpose(value, (0, 2, 1, 3, 5, 4))
        value = tf.gather(tf.reshape(value, (1, 10, 10, 4)), [2, 0, 1], axis=3)
        return tf.reduce_sum(value[:, 1], axis=(1,)) + tf.cast(
            tf.argmax(value[:, 0, 0], axis=-1, output_type=tf.int32), tf.float32
        )

    function = tf.function(call).get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32))
    path = tmp_path_factory.mktemp("unusual") / "unusual.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    return path


def by_name(path: Path) -> dict[str, Delegate]:
    return {delegate.name: delegate for delegate in delegates(path).delegates}


def left(delegate: Delegate) -> set[str]:
    return {item.operation for item in delegate.left_out}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_xnnpack_takes_what_its_list_says(foreign_tflite: dict[str, Path], scheme: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from edgecls.runners.delegation import delegated_nodes

    path = foreign_tflite[scheme]
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()
    taken = delegated_nodes(nodes)
    outside = {node["op_name"] for node in nodes if node["op_name"] != "DELEGATE" and node["index"] not in taken}
    found = by_name(path)["XNNPACK"]
    assert outside - {"DEQUANTIZE"} <= left(found)  # constants of float16 are unpacked once, not by the delegate
    assert len(found.left_out) < found.operations or scheme == "dynamic"


def test_each_scheme(foreign_tflite: dict[str, Path]) -> None:
    """The ResNet has convolutions, additions, an average over the whole image, a Dense and a softmax."""
    for scheme in ("float32", "float16"):
        assert {name: left(delegate) for name, delegate in by_name(foreign_tflite[scheme]).items()} == {
            "GPU delegate": set(),
            "NNAPI": set(),
            "XNNPACK": set(),
        }
    assert left(by_name(foreign_tflite["int8"])["XNNPACK"]) == {"AVERAGE_POOL_2D", "SOFTMAX"}
    dynamic = by_name(foreign_tflite["dynamic"])["XNNPACK"]
    assert {item.reason for item in dynamic.left_out} == {"takes no float operation with int8 weights"}
    assert left(dynamic) == {"CONV_2D"}  # the Dense is too small to be quantized


def test_reasons(unusual: Path) -> None:
    found = by_name(unusual)
    assert left(found["GPU delegate"]) == {"ARG_MAX", "MIRROR_PAD", "STRIDED_SLICE"}
    reasons = {name: {item.operation: item.reason for item in delegate.left_out} for name, delegate in found.items()}
    assert reasons["GPU delegate"]["MIRROR_PAD"] == "takes it only with reflected edges"
    assert reasons["GPU delegate"]["STRIDED_SLICE"] == "takes it only with no axis added or dropped"
    assert reasons["NNAPI"]["RESHAPE"] == "takes it only with at most 4 axes"
    assert reasons["NNAPI"]["GELU"] == "not in its list"
    assert reasons["XNNPACK"]["SUM"] == "not in its list"
    assert all(item.name for delegate in found.values() for item in delegate.left_out)


def test_the_neural_engine(tmp_path: Path) -> None:
    def block(image: Any) -> Any:
        from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

        x = mb.conv(x=image, weight=np.ones((4, 3, 3, 3), np.float16), name="plain")
        x = mb.conv(x=x, weight=np.ones((4, 4, 3, 3), np.float16), dilations=[2, 2], name="dilated")
        x = mb.relu(x=mb.gather(x=x, indices=[0, 2], axis=1, name="gathered"), name="half")
        return mb.sigmoid(x=mb.cast(x=x, dtype="fp32"), name="single")

    path = mil_packages.write(mil_packages.build(block, {"image": ((1, 3, 9, 9), "float16")}), tmp_path)
    engine = delegates(path).delegates[0]
    assert engine.name == "Neural Engine"
    assert engine.operations == 5
    assert {item.name: item.reason.split()[0] for item in engine.left_out} == {
        "dilated": "dilated",
        "gathered": "gathering",
        "single": "computes",
    }


def test_command(edgecls: Callable[..., Any], foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    path = foreign_tflite["int8"]
    shown = edgecls("inspect", path, "--delegates")
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert any(line.startswith("XNNPACK SOFTMAX 1 takes float32, not int8") for line in lines)
    assert "gpu_compatibility.cc" in shown.stdout
    found = json.loads(edgecls("inspect", path, "--delegates", "--json").stdout)
    assert [delegate["name"] for delegate in found["delegates"]] == ["GPU delegate", "NNAPI", "XNNPACK"]
    (tmp_path / "m.json").write_text("{}")
    for refused, text in ((tmp_path / "m.json", "--delegates"), (tmp_path / "missing.tflite", "missing.tflite")):
        result = edgecls("inspect", refused, "--delegates")
        assert result.exit_code == 2
        assert text in result.stderr


def test_a_folder_is_every_file_of_it_that_has_such_lists(edgecls: Callable[..., Any], tmp_path: Path) -> None:
    manifest = make_folder(tmp_path, {"base-onnx-float32": 4})
    (row,) = manifest.artifacts
    refused = edgecls("inspect", tmp_path, "--delegates")
    assert refused.exit_code == 2
    assert "base-onnx-float32 in" in refused.stderr
    for name in ("base-tflite-float32", "pruned50-tflite-float32"):
        (tmp_path / f"{name}.tflite").write_bytes(classifier())
        manifest.artifacts.append(row.model_copy(update={"name": name, "path": f"{name}.tflite", "target": "tflite"}))
    manifest.artifacts.append(manifest.artifacts[-1].model_copy(update={"status": "rejected", "path": "gone.tflite"}))
    (tmp_path / "base.savedmodel").mkdir()
    manifest.artifacts.append(row.model_copy(update={"name": "base", "path": "base.savedmodel", "target": "saved_model"}))
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    found = json.loads(edgecls("inspect", tmp_path, "--delegates", "--json").stdout)
    assert [item["file"] for item in found["files"]] == ["base-tflite-float32.tflite", "pruned50-tflite-float32.tflite"]
    shown = edgecls("inspect", tmp_path, "--delegates")
    assert shown.exit_code == 0
    assert shown.stdout.count("XNNPACK: 1 of 1 operations") == 2
    assert "pruned50-tflite-float32.tflite" in shown.stdout


def test_onnx_is_sent_to_the_tool_that_knows(foreign_onnx: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="check_onnx_model_mobile_usability"):
        delegates(foreign_onnx["float32"])


def test_a_saved_model_is_for_services(tmp_path: Path) -> None:
    folder = tmp_path / "base.savedmodel"
    folder.mkdir()
    with pytest.raises(InputError, match="a SavedModel for services"):
        delegates(folder)
