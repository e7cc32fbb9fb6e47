"""What a worker has loaded ahead is not counted as the time and memory of the artifact that it opens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecls.crew import desk
from edgecls.crew.crew import engines
from edgecls.runners import open_runner
from edgecls.system.worker import Worker, preload
from edgecls.timing import stopwatch

_RUNNERS = {"tflite": "edgecls.runners.tflite", "onnx": "edgecls.runners.onnx", "coreml": "edgecls.runners.coreml_reference"}


def our_modules() -> set[str]:
    """What of edgecls is imported; asked in a worker."""
    return {name for name in sys.modules if name.startswith("edgecls.")}


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """Images of 4 x 4 x 3 to two scores, as ONNX."""
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.ones((48, 2), np.float32), "w")],
    )
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a worker loads for any artifact."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    return [stopwatch.__name__, open_runner.__module__]


@pytest.mark.parametrize("target", [target for target in _RUNNERS if target != "coreml" or sys.platform != "darwin"])
def test_the_runner_of_the_format_and_no_other_is_loaded_ahead(target: str, loaded: list[str]):
    with Worker() as worker:
        worker.call(preload, [*loaded, *engines([target])])
        assert worker.call(our_modules) & set(_RUNNERS.values()) == {_RUNNERS[target]}


def test_opening_loads_no_runner(classifier: Path, loaded: list[str]):
    with Worker() as worker:
        worker.call(preload, [*loaded, *engines(["onnx"])])
        before = worker.call(our_modules)
        worker.call(desk.open_artifact, open_runner, classifier, None, 1)
        new = worker.call(our_modules) - before
        assert not [name for name in new if name.startswith(("edgecls.runners", "edgecls.coreml_reference", "edgecls.data"))]
