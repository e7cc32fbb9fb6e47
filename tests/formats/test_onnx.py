"""What is read of .onnx files: by tf2onnx, by onnxruntime's quantizer, and small graphs made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.errors import ArtifactError
from edgecls.formats import FileDescription, describe, read_record
from edgecls.records.metadata import METADATA_KEY

# the MLPerf Tiny ResNet, as in test_tflite.py
KERNELS = 3 * 9 * 16 + 2 * 16 * 9 * 16 + 16 * 9 * 32 + 32 * 9 * 32 + 16 * 32 + 32 * 9 * 64 + 64 * 9 * 64 + 32 * 64 + 64 * 10
BIASES = 3 * 16 + 3 * 32 + 3 * 64  # the Dense bias is all zeros: tf2onnx leaves that addition out


@pytest.fixture(scope="module")
def described(foreign_onnx: dict[str, Path]) -> dict[str, FileDescription]:
    return {kind: describe(path) for kind, path in foreign_onnx.items()}


@pytest.mark.parametrize("kind", ["float32", "qdq", "qoperator"])
def test_border_is_that_of_onnxruntime(foreign_onnx: dict[str, Path], described: dict[str, FileDescription], kind: str) -> None:
    session = onnxruntime.InferenceSession(foreign_onnx[kind])
    for ours, theirs in ((described[kind].inputs, session.get_inputs()), (described[kind].outputs, session.get_outputs())):
        assert [(info.name, info.shape, f"tensor({info.dtype[:-2]})") for info in ours] == [
            (info.name, info.shape, info.type) for info in theirs
        ]
    nodes = [node.op_type for node in onnx.load(foreign_onnx[kind]).graph.node]
    assert described[kind].actual.operations == {name: nodes.count(name) for name in nodes}


def test_weights_are_counted_by_the_dtype_they_are_stored_in(described: dict[str, FileDescription]) -> None:
    assert described["float32"].actual.weight_dtypes == {"float32": KERNELS + BIASES}
    assert described["qdq"].actual.weight_dtypes["int8"] == KERNELS
    assert sum(described["qdq"].actual.weight_dtypes.values()) == KERNELS + BIASES
    assert described["qoperator"].actual.weight_dtypes["int8"] == KERNELS
    for description in described.values():
        kernels = [layer for layer in description.layers if layer.elements > 100]
        assert len(kernels) == 10  # 9 convolutions, 1 Dense
        assert sum(layer.elements for layer in description.layers) == KERNELS + BIASES


def test_activations_between_operations(described: dict[str, FileDescription]) -> None:
    assert set(described["float32"].actual.activation_dtypes) == {"float32"}
    assert set(described["qdq"].actual.activation_dtypes) == {"int8"}
    assert set(described["qoperator"].actual.activation_dtypes) == {"int8"}
    assert described["qdq"].actual.input_dtype == described["qdq"].actual.output_dtype == "float32"


def test_nothing_stayed_float_in_a_whole_qdq_graph(described: dict[str, FileDescription]) -> None:
    assert [description.actual.stayed_float for description in described.values()] == [[], [], []]


def _pair(name: str, zero_point: str = "zero") -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [name, "scale", zero_point], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", zero_point], [f"{name}_dq"]),
    ]


def _mixed_graph(kernel: np.ndarray, zero_points: np.ndarray) -> onnx.ModelProto:
    """image -> Q/DQ -> Conv -> Relu -> Q/DQ -> Erf (float) -> Q/DQ -> MatMul -> Softmax (float)."""
    nodes = [
        *_pair("image"),
        helper.make_node("DequantizeLinear", ["kernel", "scales", "zeros"], ["kernel_dq"], axis=0),
        helper.make_node("Conv", ["image_dq", "kernel_dq"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        *_pair("relu"),
        helper.make_node("GlobalAveragePool", ["relu_dq"], ["pool"], name="pool"),
        *_pair("pool"),
        helper.make_node("Erf", ["pool_dq"], ["erf"], name="erf"),
        helper.make_node("Flatten", ["erf"], ["flat"], name="flat"),
        *_pair("flat"),
        helper.make_node("MatMul", ["flat_dq", "dense"], ["scores"], name="dense"),
        helper.make_node("Softmax", ["scores"], ["probabilities"], name="softmax"),
    ]
    constants = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.full(len(kernel), 0.1, np.float32), "scales"),
        numpy_helper.from_array(zero_points, "zeros"),
        numpy_helper.from_array(np.array(0.1, np.float32), "scale"),
        numpy_helper.from_array(np.array(7, np.uint8), "zero"),
        numpy_helper.from_array(np.ones((len(kernel), 3), np.float32), "dense"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "mixed", [image], [probabilities], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_stayed_float_is_named_with_its_reason(tmp_path: Path) -> None:
    model = _mixed_graph(np.ones((4, 3, 3, 3), np.int8), np.zeros(4, np.int8))
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "mixed.onnx")
    actual = describe(tmp_path / "mixed.onnx").actual
    assert [item.name for item in actual.stayed_float] == ["erf", "dense", "softmax"]  # conv, relu and pool have integer kernels
    assert "QuantizeLinear" in actual.stayed_float[0].reason and "resolution" in actual.stayed_float[2].reason
    assert actual.weight_dtypes == {"int8": 4 * 27, "float32": 12}
    # float: conv -> relu, erf -> flat, scores -> softmax; uint8: relu -> pool, pool -> erf, flat -> dense
    assert actual.activation_dtypes == {"float32": 3, "uint8": 3}
    assert describe(tmp_path / "mixed.onnx").inputs[0].shape == [None, 3, 8, 8]


def test_zero_is_the_zero_point_of_its_channel(tmp_path: Path) -> None:
    kernel = np.arange(4 * 27, dtype=np.int8).reshape(4, 3, 3, 3)
    kernel[0, 0], kernel[2] = -5, 3
    onnx.save(_mixed_graph(kernel, np.array([-5, -128, 3, 127], np.int8)), tmp_path / "zeros.onnx")
    description = describe(tmp_path / "zeros.onnx")
    assert description.layers[0].sparsity == (9 + 27) / 108
    assert description.actual.sparsity == (9 + 27) / (108 + 12)  # the float Dense kernel has no zeros


def test_weights_outside_the_file_are_counted(tmp_path: Path) -> None:
    model = _mixed_graph(np.ones((4, 3, 3, 3), np.int8), np.zeros(4, np.int8))
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, size_threshold=0, location="big.data")
    (tmp_path / "big.data").unlink()
    assert describe(tmp_path / "big.onnx").actual.weight_dtypes == {"int8": 108, "float32": 12}


def test_metadata_and_a_record_that_is_not_ours(tmp_path: Path) -> None:
    model = _mixed_graph(np.ones((4, 3, 3, 3), np.int8), np.zeros(4, np.int8))
    helper.set_model_props(model, {"author": "somebody", METADATA_KEY: '{"labels": []}'})
    onnx.save(model, tmp_path / "foreign.onnx")
    for read in (describe, read_record):
        with pytest.raises(ArtifactError, match="record"):
            read(tmp_path / "foreign.onnx")
    helper.set_model_props(model, {"author": "somebody"})
    onnx.save(model, tmp_path / "foreign.onnx")
    assert describe(tmp_path / "foreign.onnx").metadata["author"] == "somebody"
    assert read_record(tmp_path / "foreign.onnx") is None


@pytest.mark.parametrize("kind", ["float32", "qdq"])
def test_no_damage_gets_through_as_anything_but_artifact_error(foreign_onnx: dict[str, Path], tmp_path: Path, kind: str) -> None:
    sound = foreign_onnx[kind].read_bytes()
    graph = onnx.load(foreign_onnx[kind]).graph
    nodes = sum(node.ByteSize() for node in graph.node)  # they come first in the file
    generator = np.random.default_rng(11)
    path = tmp_path / "damaged.onnx"
    refused = 0
    for trial in range(400):
        data = bytearray(sound)
        if trial % 3 == 0:
            data = data[: int(generator.integers(1, len(sound)))]
        for _ in range(int(generator.integers(0 if trial % 3 == 0 else 1, 9))):
            where = (
                generator.integers(0, len(data)) if generator.random() < 0.25 else generator.integers(0, min(len(data), nodes))
            )
            data[int(where)] = int(generator.integers(0, 256))
        path.write_bytes(data)
        for read in (describe, read_record):
            try:
                read(path)
            except ArtifactError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 250


def test_every_cut_is_refused(foreign_onnx: dict[str, Path], tmp_path: Path) -> None:
    sound = foreign_onnx["qdq"].read_bytes()
    path = tmp_path / "cut.onnx"
    for length in {*range(1, 64), *range(64, len(sound) - 200, 997)}:
        path.write_bytes(sound[:length])
        with pytest.raises(ArtifactError):
            describe(path)
