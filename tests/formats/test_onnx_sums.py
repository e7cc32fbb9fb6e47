"""Which ONNX operations a processor that clips sums at 16 bits computes wrongly, held against what this one computes."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.formats import clips_sums, describe
from edgecls.system.processor import instruction_sets, may_saturate
from quantized_onnx import quantize


@pytest.mark.parametrize(
    ("how", "dense", "expected"),
    [
        ("QDQ", "MatMul", ["first", "second", "dense"]),
        ("QDQ", "Gemm", ["first", "second", "dense"]),
        ("QOperator", "MatMul", ["first_quant", "second_quant", "dense_quant"]),
        ("QOperator", "Gemm", ["first_quant", "second_quant", "dense_quant"]),
        ("dynamic", "MatMul", ["dense_quant"]),  # ConvInteger adds up in 32 bits
    ],
)
def test_files_of_onnxruntimes_quantization_are_recognized(tmp_path: Path, how: str, dense: str, expected: list[str]) -> None:
    assert describe(quantize(tmp_path, how, dense=dense)).clipped_operations == expected


def test_uint8_weights_and_those_of_seven_bits_are_sound(tmp_path: Path) -> None:
    assert not clips_sums(quantize(tmp_path, "QDQ", weights="QUInt8"))
    assert not clips_sums(quantize(tmp_path, "QDQ", reduce_range=True))
    assert not clips_sums(quantize(tmp_path, "QOperator", reduce_range=True))
    assert not clips_sums(tmp_path / "float.onnx")


def save(path: Path, operation: str, kernel: np.ndarray, rows: int, **attributes: Any) -> tuple[Path, np.ndarray]:
    """A file of one integer operation with scales of 1, and its input: 255 everywhere."""
    conv = "Conv" in operation
    image = np.full((1, rows, 6, 6) if conv else (2, rows), 255, np.uint8)
    scales = ["one", "zero_a", "kernel", "one", "zero_w"]
    inputs = {
        "ConvInteger": ["image", "kernel"],
        "MatMulInteger": ["image", "kernel"],
        "QGemm": ["image", *scales],
        "MatMulIntegerToFloat": ["image", "kernel", "one", "one", "zero_a", "zero_w"],
    }.get(operation, ["image", *scales, "step", "zero_a"])
    domain = "com.microsoft" if operation in ("QGemm", "MatMulIntegerToFloat") else ""
    dtype = {"ConvInteger": TensorProto.INT32, "MatMulInteger": TensorProto.INT32}.get(
        operation, TensorProto.FLOAT if domain else TensorProto.UINT8
    )
    step = np.float32(max(255 * abs(int(kernel.astype(np.int64).sum())) / 200, 1))
    constants = {"kernel": kernel, "one": np.float32(1), "zero_a": np.uint8(0), "zero_w": np.int8(0), "step": step}
    graph = helper.make_graph(
        [helper.make_node(operation, inputs, ["sums"], name="sums", domain=domain, **attributes)],
        "sums",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, image.shape)],
        [helper.make_tensor_value_info("sums", dtype, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items() if name in inputs],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=9), path)
    return path, image


def answers_differ(path: Path, image: np.ndarray) -> bool:
    """Whether this processor computes something else by default than exactly."""
    import onnxruntime

    found = []
    for exact in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", exact)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {"image": image})[0])
    return bool((found[0] != found[1]).any())


def conv(groups: int, inputs: int, outputs: int) -> np.ndarray:
    return np.full((outputs, inputs // groups, 3, 3), 127, np.int8)


def dense(*pair: int) -> np.ndarray:
    kernel = np.zeros((64, 8), np.int8)
    kernel[:2] = np.array(pair)[:, None]
    return kernel


@pytest.mark.parametrize(
    ("operation", "kernel", "rows", "attributes", "clips"),
    [
        ("QLinearConv", conv(1, 8, 8), 8, {}, True),
        ("QLinearConv", conv(4, 8, 8), 8, {"group": 4}, True),
        ("QLinearConv", conv(8, 8, 16), 8, {"group": 8}, True),  # two outputs a channel are no depthwise kernel
        ("QLinearConv", conv(8, 8, 8), 8, {"group": 8}, False),
        ("ConvInteger", conv(1, 8, 8), 8, {}, False),
        ("QLinearMatMul", dense(127, 127), 64, {}, True),
        ("QGemm", dense(127, 127), 64, {}, True),
        ("QGemm", np.ascontiguousarray(dense(127, 127).T), 64, {"transB": 1}, True),
        ("MatMulIntegerToFloat", dense(127, 127), 64, {}, True),
        ("MatMulInteger", dense(64, 64), 64, {}, False),
        ("MatMulInteger", dense(65, 64), 64, {}, True),
        ("MatMulInteger", dense(-64, -64), 64, {}, False),
        ("MatMulInteger", dense(-64, -65), 64, {}, True),
        ("MatMulInteger", dense(127, -127), 64, {}, False),
    ],
)
def test_what_is_recognized_is_what_clips(
    tmp_path: Path, operation: str, kernel: np.ndarray, rows: int, attributes: dict[str, Any], clips: bool
) -> None:
    path, image = save(tmp_path / "sums.onnx", operation, kernel, rows, **attributes)
    assert describe(path).clipped_operations == (["sums"] if clips else [])
    here = may_saturate(platform.machine(), instruction_sets())
    assert answers_differ(path, image) == (clips and here)
