"""TFLiteGraph: one graph that passes change; copies are apart, shared constants stay for the others, and it is packed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.formats.tflite import schema as schema_fields
from edgecls.formats.tflite.graph import KERNEL, TFLiteGraph
from written_tflite import chain, classifier

SOURCE = Path(__file__).parents[2] / "src"


def with_a_shared_kernel() -> TFLiteGraph:
    """Two dense layers that read the same constant."""
    graph = TFLiteGraph(chain(["a", "b"]))
    values = np.arange(16, dtype=np.float32)
    kernel = graph.add_tensor("shared", [4, 4], schema.TensorType.FLOAT32, values.view(np.uint8))
    for operation in graph.operations:
        operation.operator.inputs = [operation.operand(0), kernel]
    graph.replace_operators([operation.operator for operation in graph.operations])
    return TFLiteGraph(graph.pack())


def test_what_nothing_changed_is_the_file_it_was_taken_from():
    file = classifier()
    assert TFLiteGraph(file).pack() is file


def test_operations_are_read_by_kind_and_name():
    graph = TFLiteGraph(chain(["a", "b"]))
    assert [operation.kind for operation in graph.operations] == ["FULLY_CONNECTED"] * 2
    assert [graph.names[operation.output] for operation in graph.operations] == ["a", "b"]
    assert [[graph.names[tensor] for tensor in operation.constants] for operation in graph.operations] == [
        ["a/kernel"],
        ["b/kernel"],
    ]
    assert list(graph.upwards(graph.outputs[0], ("FULLY_CONNECTED",))) == [1, 0]


def test_a_constant_that_others_read_stays_for_them():
    graph = with_a_shared_kernel()
    first, second = graph.operations
    graph.replace_constant(first, KERNEL, np.zeros((4, 4), np.float32))
    again = TFLiteGraph(graph.pack())
    kernels = [again.floats(operation.operand(KERNEL)) for operation in again.operations]
    assert not np.any(kernels[0])
    np.testing.assert_array_equal(kernels[1], np.arange(16).reshape(4, 4))
    assert second.operand(KERNEL) != first.operand(KERNEL)


def test_of_a_constant_with_the_bytes_of_another_nothing_stays_unused():
    graph = with_a_shared_kernel()
    first, second = graph.operations
    other = graph.add_tensor("other", [4, 4], schema.TensorType.FLOAT32)
    graph.tensor(other).buffer = graph.tensor(first.operand(KERNEL)).buffer
    second.operator.inputs = [second.operand(0), other]
    graph.replace_operators([first.operator, second.operator])
    changed = graph.copy()
    changed.replace_constant(changed.operations[1], KERNEL, np.zeros((4, 4), np.float32))
    again = TFLiteGraph(changed.pack())
    assert again.operations[1].operand(KERNEL) == other
    assert len(again.names) == len(graph.names)
    np.testing.assert_array_equal(again.floats(again.operations[0].operand(KERNEL)), np.arange(16).reshape(4, 4))  # type: ignore[arg-type]
    assert not np.any(again.floats(other))
    np.testing.assert_array_equal(graph.floats(other), np.arange(16).reshape(4, 4))  # type: ignore[arg-type]


def test_its_own_constant_is_changed_where_it_is_the_second_time():
    graph = with_a_shared_kernel()
    operation = graph.operations[0]
    for value in (1.0, 2.0):
        graph.replace_constant(operation, KERNEL, np.full((4, 4), value, np.float32))
        tensors = len(graph.names)
    assert tensors == len(with_a_shared_kernel().names) + 1
    again = TFLiteGraph(graph.pack())
    assert np.all(again.floats(again.operations[0].operand(KERNEL)) == 2.0)  # type: ignore[operator]


def test_a_copy_is_changed_alone():
    graph = TFLiteGraph(classifier())
    before = graph.floats(graph.operations[0].operand(KERNEL))
    assert before is not None
    before = before.copy()
    changed = graph.copy()
    changed.replace_constant(changed.operations[0], KERNEL, before + 1)
    added = changed.make_operator("RELU", [changed.outputs[0]], [changed.add_tensor_like(changed.outputs[0], "relu")])
    changed.replace_operators([changed.operations[0].operator, added])
    assert graph.pack() is graph.file
    np.testing.assert_array_equal(graph.floats(graph.operations[0].operand(KERNEL)), before)
    assert [operation.kind for operation in TFLiteGraph(changed.pack()).operations] == ["FULLY_CONNECTED", "RELU"]


def sources_with(text: str) -> list[str]:
    """The files of the package that this stands in."""
    return [f"{path.parent.name}/{path.name}" for path in SOURCE.rglob("*.py") if text in path.read_text(encoding="utf-8")]


def test_nothing_else_takes_a_tflite_file_apart_into_objects():
    assert sources_with("InitFromPackedBuf") == ["tflite/graph.py"]


def test_nothing_else_makes_a_tflite_file_of_objects():
    assert sources_with(".Pack(") == ["tflite/graph.py"]


def test_the_mark_of_a_tflite_file_is_written_down_once():
    assert sources_with(schema_fields.IDENTIFIER.decode()) == ["tflite/schema.py"]
