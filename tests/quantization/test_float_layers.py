"""--keep-float: the layers named stay float in the TFLite and the ONNX file, and in nothing else does anything change."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgecls.converters.output_layers import output_layers
from edgecls.data import open_images
from edgecls.errors import SchemeError
from edgecls.formats.tflite.graph import KERNEL, TFLiteGraph
from edgecls.models import load_model
from edgecls.quantization.float_layers import resolve_layers
from edgecls.quantization.parameters import read_parameters
from edgecls.records.artifact import Manifest
from edgecls.runners import open_runner
from edgecls.system.extras import require
from edgecls.workflow import ConvertOptions, convert

LAYERS = ["net/conv1/Relu;net/bn1/FusedBatchNormV3;net/conv1/Conv2D1", "net/conv2/Relu", "net/conv10/Relu", "scores"]
# A convolution, both of whose neighbours stay integer; one in a residual branch, with its sum; the dense layer at the end.
KEPT = ("conv2d_3", "conv2d_6", "add_1", "dense")


def test_a_name_is_a_tensor_a_part_of_it_or_a_layer():
    assert resolve_layers([LAYERS[0]], LAYERS) == {LAYERS[0]}
    assert resolve_layers(["net/conv1/Relu"], LAYERS) == {LAYERS[0]}
    assert resolve_layers(["conv1"], LAYERS) == {LAYERS[0]}  # not conv10
    assert resolve_layers(["bn1", "scores"], LAYERS) == {LAYERS[0], "scores"}
    assert resolve_layers(["net"], LAYERS) == set(LAYERS[:3])
    assert resolve_layers([], LAYERS) == frozenset()


def test_what_has_the_name_of_an_output_is_the_layers_that_make_it():
    outputs = {"scores": ["net/head/BiasAdd", "net/head/MatMul"]}
    assert resolve_layers(["head"], LAYERS, outputs) == {"scores"}
    assert resolve_layers(["scores", "conv2"], LAYERS, outputs) == {"scores", LAYERS[1]}
    with pytest.raises(SchemeError, match="did you mean head"):
        resolve_layers(["heads"], LAYERS, outputs)


@pytest.mark.parametrize(
    ("name", "near"), [("conv3", "conv2"), ("net/conv2/Relux", "net/conv2/Relu"), ("zzz", "edgecls inspect")]
)
def test_an_unknown_name_is_refused_with_what_is_near(name: str, near: str):
    with pytest.raises(SchemeError, match=near):
        resolve_layers(["conv1", name], LAYERS)


@pytest.mark.parametrize("place", [0, 1])
def test_a_layer_that_keras_3_named_is_the_one_that_stays_float(place: int, tmp_path: Path):
    keras = require("keras")
    keras.layers.Conv2D(1, 1)  # the names that follow have a number also where this is the first model of the process
    convolutions = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Conv2D(6, 3, activation="relu")]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((12, 12, 3)), *convolutions, *head]).save(tmp_path / "model.keras")
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), np.uint8), y=np.arange(20) % 3)
    options = ConvertOptions(
        model=tmp_path / "model.keras",
        preprocess="0..255",
        targets=("tflite",),
        schemes="int8",
        calibration=tmp_path / "images.npz",
        keep_float=(convolutions[place].name,),
        output=tmp_path / "out",
    )
    (artifact,) = convert(options).artifacts
    graph = TFLiteGraph((tmp_path / "out" / str(artifact.path)).read_bytes())
    kept = [
        operation for operation in graph.operations if operation.kind == "CONV_2D" and graph.is_float(operation.operand(KERNEL))
    ]
    assert [graph.shape(operation.output) for operation in kept] == [[(1, 10, 10, 4)], [(1, 8, 8, 6)]][place]


@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_last_layer_of_a_model_of_logits_stays_float_by_its_name(activation: str | None, tmp_path: Path):
    """Its operation has the name of the scores, in which the layer's own is lost."""
    keras = require("tf_keras")
    inputs = keras.Input((12, 12, 3))
    value = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    scores = keras.layers.Activation(activation or "linear")(keras.layers.Dense(3, name="head")(value))
    keras.Model(inputs, scores).save(tmp_path / "model.h5")
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), np.uint8))
    options = ConvertOptions(
        model=tmp_path / "model.h5",
        targets=("tflite",),
        schemes="int8",
        calibration=tmp_path / "images.npz",
        keep_float=("head",),
        output=tmp_path / "out",
    )
    (artifact,) = convert(options).artifacts
    graph = TFLiteGraph((tmp_path / "out" / str(artifact.path)).read_bytes())
    weighted = [operation for operation in graph.operations if operation.kind in ("CONV_2D", "FULLY_CONNECTED")]
    assert {operation.kind: graph.is_float(operation.operand(KERNEL)) for operation in weighted} == {
        "CONV_2D": False,
        "FULLY_CONNECTED": True,
    }


def test_what_makes_an_output_is_a_layer_or_a_sum_of_two(tmp_path: Path):
    layers, inputs = require("tf_keras").layers, require("tf_keras").Input((12, 12, 3))
    value = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    ends = {
        "head": layers.Dense(3, name="head")(value),
        "sum": layers.Add(name="sum")([layers.Dense(3)(value) for _ in range(2)]),
    }
    found = {}
    for name, end in ends.items():
        require("tf_keras").Model(inputs, end).save(tmp_path / f"{name}.h5")
        (found[name],) = output_layers(load_model(tmp_path / f"{name}.h5").freeze(tmp_path)).values()
    assert [name.rpartition("/")[2] for name in found["head"]] == ["BiasAdd", "MatMul"] and "head" in found["head"][0]
    assert len(found["sum"]) == 1 and "sum" in found["sum"][0]  # an operation of its own beside those of the layers


@pytest.fixture(scope="module")
def folder(zoo: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-8 with layers kept float."""
    output = tmp_path_factory.mktemp("kept") / "out"
    options = ConvertOptions(
        model=zoo / "mlperf_tiny" / "pretrainedResnet.h5",
        preprocess="0..255",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=50,
        keep_float=KEPT,
        output=output,
    )
    convert(options)
    return output


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict:
    return {artifact.name: artifact for artifact in Manifest.read(folder).artifacts}


def test_the_manifest_names_what_stayed_float_in_both_files_and_why(rows):
    for name, operations in (
        ("base-tflite-int8", {"CONV_2D": 2, "ADD": 1, "FULLY_CONNECTED": 1}),
        ("base-onnx-int8", {"Conv": 2, "Relu": 3, "Add": 1, "Gemm": 1}),
    ):
        asked = [entry for entry in rows[name].actual.stayed_float if entry.reason == "asked by --keep-float"]
        assert collections.Counter(entry.operation for entry in asked) == operations, name
        assert len(rows[name].requested.keep_float) == len(KEPT)
        assert all(any(f"/{layer}/" in kept for kept in rows[name].requested.keep_float) for layer in KEPT)
        others = [entry.operation.upper() for entry in rows[name].actual.stayed_float if entry not in asked]
        assert others == ["SOFTMAX"]
    assert rows["base-tflite-float32"].requested.keep_float == []


def test_onnxruntime_computes_them_in_float_and_all_others_in_integers(folder: Path, tmp_path: Path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(folder / "base-onnx-int8.onnx"), options, providers=["CPUExecutionProvider"])
    operations = collections.Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert operations["Conv"] == 2
    assert operations["QLinearConv"] == 7
    assert operations["Gemm"] == 1
    assert operations["QGemm"] == 0
    assert (operations["Add"], operations["QLinearAdd"]) == (1, 2)


def test_weights_of_kept_layers_are_the_float_models_own(folder: Path):
    def kernels(name: str) -> dict[str, np.ndarray]:
        from ai_edge_litert import schema_py_generated as schema

        model = (folder / name).read_bytes()
        unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        graph = unpacked.subgraphs[0]
        found = {}
        for operator in graph.operators:
            if len(operator.inputs) > 1 and graph.tensors[operator.inputs[1]].type == schema.TensorType.FLOAT32:
                buffer = unpacked.buffers[graph.tensors[operator.inputs[1]].buffer]
                data = (
                    model[buffer.offset : buffer.offset + buffer.size]
                    if buffer.offset
                    else bytes(() if buffer.data is None else buffer.data)
                )
                if data:
                    found[graph.tensors[operator.outputs[0]].name.decode()] = np.frombuffer(data, np.float32)
        return found

    ours, float_model = kernels("base-tflite-int8.tflite"), kernels("base-tflite-float32.tflite")
    assert len(ours) == 3  # two convolutions and the dense layer; the sum has no weights
    for name, values in ours.items():
        np.testing.assert_array_equal(values, float_model[name])


def test_both_files_still_answer_alike(folder: Path, shared_data: Path):
    spec = Manifest.read(folder).image_spec
    images = np.concatenate(list(open_images(shared_data / "cifar10.npz", spec, role="data", limit=300).batches()))
    tflite, onnx_scores, source = (
        open_runner(folder / name).predict(images)
        for name in ("base-tflite-int8.tflite", "base-onnx-int8.onnx", "base-tflite-float32.tflite")
    )
    # Same parameters, other kernels: their roundings differ by one code here and there, which moves an image whose two best classes
    # are that close. The two differ on far fewer images than either does from the float model by rounding all the rest (about 4 %).
    assert (tflite.argmax(1) == onnx_scores.argmax(1)).mean() >= 0.98
    assert (tflite.argmax(1) == source.argmax(1)).mean() >= 0.93
    parameters = read_parameters((folder / "base-tflite-int8.tflite").read_bytes())
    assert len(parameters.activations) > 5


def test_every_convolution_of_a_residual_network_is_fused(zoo: Path, shared_data: Path, tmp_path: Path):
    """Where two operations read one tensor, int8 activations stopped onnxruntime: three of nine convolutions were integer."""
    options = ConvertOptions(
        model=zoo / "mlperf_tiny" / "pretrainedResnet.h5",
        preprocess="0..255",
        targets=("onnx",),
        schemes="int8",
        calibration=shared_data / "cifar10.npz",
        calibration_images=20,
        output=tmp_path / "out",
    )
    convert(options)
    session = onnxruntime.SessionOptions()
    session.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "out" / "base-onnx-int8.onnx"), session, providers=["CPUExecutionProvider"])
    operations = collections.Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert operations["QLinearConv"] == 9
    assert operations["QLinearAdd"] == 3
    assert operations["Conv"] == operations["Add"] == operations["Relu"] == 0
