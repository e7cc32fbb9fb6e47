"""What makes the scores of other tools' files: several sigmoids are no softmax."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgecls.errors import ArtifactError
from edgecls.formats.last_operation import last_operation
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.runners import open_runner
from written_tflite import classifier


def write_onnx(path: Path, *ending: str) -> Path:
    """A classifier of images [N, 4, 4, 3] in five classes that ends with these operations."""
    names = ["image", "flat", "logits", *(f"value{index}" for index in range(len(ending) - 1)), "scores"]
    names = names if ending else ["image", "flat", "scores"]
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "kernel"], [names[2]])]
    nodes += [helper.make_node(kind, [names[index + 2]], [names[index + 3]]) for index, kind in enumerate(ending)]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", ["batch", 4, 4, 3]), ("scores", ["batch", 5]))
    ]
    kernel = numpy_helper.from_array(np.ones((48, 5), np.float32), "kernel")
    graph = helper.make_graph(nodes, "classifier", values[:1], values[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def write_tflite(path: Path, *ending: str) -> Path:
    """The same in three classes."""
    graph = TFLiteGraph(classifier())
    operators, last = [operation.operator for operation in graph.operations], graph.outputs[0]
    for kind in ending:
        added = graph.add_tensor_like(last, f"{graph.names[last]}_{kind.lower()}")
        options = {
            "SOFTMAX": (schema.BuiltinOptions.SoftmaxOptions, schema.SoftmaxOptionsT()),
        }.get(kind, (schema.BuiltinOptions.NONE, None))
        operators.append(graph.make_operator(kind, [last], [added], *options))
        last = added
    graph.replace_operators(operators)
    graph.replace_border({graph.outputs[0]: last})
    path.write_bytes(graph.pack())
    return path


@pytest.mark.parametrize(
    ("ending", "last", "scores"),
    [
        (("Sigmoid",), "Sigmoid", "sigmoid"),
        (("Sigmoid", "Identity"), "Sigmoid", "sigmoid"),
        (("Softmax",), "Softmax", "softmax"),
        ((), "MatMul", "logits"),
    ],
)
def test_onnx(tmp_path: Path, ending: tuple[str, ...], last: str, scores: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", *ending)
    assert last_operation(path) == last
    assert open_runner(path).output_kind == scores


@pytest.mark.parametrize(
    ("ending", "last", "scores"),
    [
        (("LOGISTIC",), "LOGISTIC", "sigmoid"),
        (("SOFTMAX",), "SOFTMAX", "softmax"),
        ((), "FULLY_CONNECTED", "logits"),
    ],
)
def test_tflite(tmp_path: Path, ending: tuple[str, ...], last: str, scores: str) -> None:
    path = write_tflite(tmp_path / "m.tflite", *ending)
    assert last_operation(path) == last
    assert open_runner(path).output_kind == scores


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError):
        last_operation(path)
