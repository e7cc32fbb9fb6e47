"""A badly scaled network: TFLite, ONNX and Core ML carry the same equalized codes, and `diagnose` still finds what each layer loses."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from badly_scaled import badly_scaled
from edgecls.converters.coreml.equalized import ScaledKernel, equalize_program
from edgecls.diagnosis.float_self import onnx_self
from edgecls.formats.coreml.read import open_package
from edgecls.formats.coreml.weights import parameters as packed
from edgecls.formats.onnx.names import BEFORE_BIAS
from edgecls.quantization.parameters import read_parameters
from edgecls.records.artifact import Manifest
from edgecls.workflow import ConvertOptions, convert
from edgecls.workflow.diagnose import DiagnoseRequest, diagnose


@pytest.fixture(scope="module")
def folder(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("equalized")
    options = ConvertOptions(
        model=badly_scaled(zoo / "mlperf_tiny" / "vww_96.h5", place / "model.h5"),
        preprocess="0..1",
        schemes="float32,float16,int8",
        calibration=shared_data / "flowers",
        calibration_images=64,
        output=place / "out",
    )
    convert(options)
    return options.folder


def test_the_manifest_says_so(folder: Path):
    manifest = Manifest.read(folder)
    assert any(
        "int8 ranges from 64 calibration images by minmax with channels equalized" in detail for detail in manifest.details
    )


def test_all_three_files_answer_as_the_float_model_does(folder: Path):
    found = {row.name: row.parity for row in Manifest.read(folder).artifacts if row.name.endswith("int8")}
    assert len(found) == 3
    for parity in found.values():
        assert parity is not None and parity.verdict == "passed" and parity.snr_db is not None
        assert parity.snr_db > 25  # as it was trained the network has 34 dB


def test_all_three_files_carry_the_same_codes(folder: Path):
    parameters = read_parameters((folder / "base-tflite-int8.tflite").read_bytes())
    theirs = [operation.weights for operation in parameters.operations.values() if operation.weights is not None]
    model = onnx.load(folder / "base-onnx-int8.onnx")
    ours = [numpy_helper.to_array(item) for item in model.graph.initializer if item.name.endswith("/weights/codes")]
    package = open_package(folder / "base-coreml-int8.mlpackage")
    apples = [
        np.asarray(package.values.read(packed(operation)["quantized_data"]))
        for operation in package.block.operations
        if operation.type == "constexpr_affine_dequantize"
    ]
    assert len(theirs) == len(ours) == len(apples) == 28
    assert sorted_codes(theirs) == sorted_codes(ours) == sorted_codes(apples)


def sorted_codes(kernels: Sequence[np.ndarray]) -> collections.Counter[bytes]:
    """The codes of each kernel whatever its layout, uint8 ones as the int8 ones of the same values."""
    signed = [kernel.astype(np.int16) - (128 if kernel.dtype == np.uint8 else 0) for kernel in kernels]
    return collections.Counter(np.sort(kernel, axis=None).tobytes() for kernel in signed)


@pytest.mark.parametrize("name", ["base-tflite-int8", "base-onnx-int8"])
def test_diagnosis_compares_with_the_float_model_that_was_rounded(folder: Path, shared_data: Path, name: str):
    found = diagnose(DiagnoseRequest(folder, artifact=name, limit=8, data=shared_data / "flowers"))
    ratios = [layer.snr_db for layer in found.layers if layer.weights and layer.snr_db is not None]
    assert len(ratios) == 28
    # Beside the float file's layers, whose channels have other factors, it is 1: most hold more error than signal in some channel.
    assert np.median(ratios) > 15


def test_a_core_ml_file_that_stays_as_it_is_says_so(
    zoo: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A program in which nothing looks like a kernel of the float model, as where another converter folds something into it."""
    monkeypatch.setattr("edgecls.converters.coreml.equalized._match", lambda constant, scaled: None)
    monkeypatch.setattr("edgecls.workflow.workers.Workers.coreml", None)  # all in this process
    path = badly_scaled(zoo / "mlperf_tiny" / "vww_96.h5", tmp_path / "model.h5")
    manifest = convert(
        ConvertOptions(
            model=path,
            preprocess="0..1",
            targets=("coreml",),
            schemes="int8",
            calibration=shared_data / "flowers",
            calibration_images=64,
            output=tmp_path / "out",
        )
    )
    assert any("its channels are not brought to one height" in note for note in manifest.notes)


def test_the_factors_of_a_hidden_dense_layer_show_in_an_onnx_file():
    """A float file has a product and an addition for it, a QDQ file one node, whose weights are called after what it makes. The third
    of its outputs is made by the bias alone."""
    generator = np.random.default_rng(0)
    first, second = (generator.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 2)))
    first[:, 2] = 0
    bias, factors = np.arange(1.0, 5.0, dtype=np.float32), np.array([4.0, 1.0, 0.5, 1.0], np.float32)
    nodes = [
        helper.make_node("MatMul", ["image", "first"], [f"hidden{BEFORE_BIAS}"]),
        helper.make_node("Add", [f"hidden{BEFORE_BIAS}", "bias"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "second"], ["scores"]),
    ]
    quantized = [
        helper.make_node("DequantizeLinear", [f"{name}/codes", f"{name}/scale", f"{name}/zero"], [f"{name}/weights/dequantized"])
        for name in ("hidden", "scores")
    ]
    quantized.append(
        helper.make_node("DequantizeLinear", ["bias/codes", "bias/scale", "bias/zero"], ["hidden/bias/dequantized"], axis=0)
    )
    steps = np.full(4, 1e-3, np.float32)
    codes: dict[str, Any] = {"bias/codes": np.rint(bias * factors / steps).astype(np.int32), "bias/scale": steps}
    codes["bias/zero"] = np.zeros(4, np.int32)
    for name, weights in (("hidden", first * factors), ("scores", second / factors[:, None])):
        scale = np.abs(weights).max() / np.float32(127)
        codes |= {f"{name}/codes": np.rint(weights / scale).astype(np.int8), f"{name}/scale": scale, f"{name}/zero": np.int8(0)}
    given = model_of(nodes, {"first": first, "bias": bias, "second": second})
    found = {item.name: numpy_helper.to_array(item) for item in onnx_self(given, model_of(quantized, codes)).graph.initializer}
    assert np.array_equal(found[f"hidden{BEFORE_BIAS}/equalized/1"], first * factors)
    assert np.array_equal(found["hidden/equalized/1"], bias * factors)
    assert np.array_equal(found["scores/equalized/1"], second / factors[:, None])


def model_of(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Any]) -> onnx.ModelProto:
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "graph", [], [], kept))


def program_of(kernel: np.ndarray, bias: np.ndarray) -> Any:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    @mb.program(input_specs=[mb.TensorSpec((1, kernel.shape[1], 4, 4), types.fp16)])
    def program(image: Any) -> Any:
        return mb.conv(x=image, weight=kernel.astype(np.float16), bias=bias.astype(np.float16), name="made")

    return program


def test_a_program_in_which_a_kernel_is_missing_stays_as_it_is():
    generator = np.random.default_rng(0)
    before, bias, factors = generator.normal(size=(2, 1, 1, 3)).astype(np.float32), np.array([1.0, 2.0]), np.array([4.0, 0.5])
    scaled = ScaledKernel(before, before * factors[:, None, None, None], factors, has_bias=True)
    other = ScaledKernel(before[::-1], before, None, has_bias=False)
    program = program_of(before.transpose(0, 3, 1, 2), bias)
    assert not equalize_program(program, [scaled, other])
    assert held(program, "bias").tolist() == [1.0, 2.0]
    assert equalize_program(program, [scaled])
    assert held(program, "bias").tolist() == [4.0, 1.0]
    given = before.transpose(0, 3, 1, 2).astype(np.float16)
    assert np.array_equal(held(program, "weight"), given * factors[:, None, None, None].astype(np.float16))


def held(program: Any, name: str) -> np.ndarray:
    (operation,) = (one for one in program.functions["main"].operations if one.op_type == "conv")
    return operation.inputs[name].val
