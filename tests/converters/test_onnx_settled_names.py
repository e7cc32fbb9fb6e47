"""The ONNX file of a model is the same to the byte, however often and wherever it is made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
from onnx import TensorProto, helper

from edgecls.converters.onnx.convert import _sort_nodes, float_onnx
from edgecls.formats.onnx.names import INPUT, OUTPUT
from edgecls.formats.tflite.graph import TFLiteGraph
from written_tflite import classifier

_DIGEST = """
import hashlib
from edgecls.converters.onnx.convert import float_onnx
from edgecls.formats.tflite.graph import TFLiteGraph
from written_tflite import classifier
print(hashlib.sha256(float_onnx(TFLiteGraph(classifier())).SerializeToString(deterministic=True)).hexdigest())
"""


def test_no_number_of_a_run_is_in_a_name():
    made = [float_onnx(TFLiteGraph(classifier())) for _ in range(2)]
    assert made[0].SerializeToString(deterministic=True) == made[1].SerializeToString(deterministic=True)
    values = {name for node in made[0].graph.node for name in (*node.input, *node.output)}
    assert {INPUT, OUTPUT} <= values
    assert not [name for name in values if "__" in name]


def test_the_order_of_sets_does_not_matter():
    """It is another one in another process, whose hashes have another seed."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    elsewhere = subprocess.run(
        [sys.executable, "-c", _DIGEST],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = float_onnx(TFLiteGraph(classifier())).SerializeToString(deterministic=True)
    assert elsewhere.stdout.split()[-1] == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("order", ["abcd", "bacd", "dcba"])
def test_nodes_stand_as_the_graph_alone_says(order: str):
    """tf2onnx puts two that do not read from each other behind one another by numbers of its run."""
    border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "id"]
    nodes = {
        "a": helper.make_node("Relu", ["i"], ["a"]),
        "b": helper.make_node("Neg", ["i"], ["b"]),
        "c": helper.make_node("Add", ["a", "b"], ["c"]),
        "d": helper.make_node("Add", ["c", "a"], ["d"]),
    }
    graph = helper.make_graph([nodes[name] for name in order], "small", border[:1], border[1:])
    _sort_nodes(graph)
    assert "".join(node.output[0] for node in graph.node) == "abcd"
