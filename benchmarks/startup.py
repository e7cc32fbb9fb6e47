"""How long until something happens: `edgecls --help`, and `edgecls bench` up to its first inference.

`bench` is timed to its end on a small classifier with one inference and nothing to wait for, so the figure is an upper bound of the time
to the first inference.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from _process import compile_modules

REPEATS = 10


def main() -> None:
    """Print the medians."""
    compile_modules()
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "small.onnx"
        _save_classifier(model)
        bench = ["bench", str(model), "--min-seconds", "0", "--min-runs", "1", "--out", str(Path(name) / "results.json")]
        print(f"\n{'median of ' + str(REPEATS):42}{'seconds':>9}")
        for title, arguments in (("edgecls --help", ["--help"]), ("edgecls bench, all of it, one inference", bench)):
            print(f"{title:42}{_median_s(arguments):9.3f}")


def _median_s(arguments: list[str]) -> float:
    command = [str(Path(sys.executable).with_name("edgecls")), *arguments]
    seconds = []
    for _ in range(REPEATS):
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def _save_classifier(path: Path) -> None:
    """Images of 32 x 32 x 3 through one dense layer to ten scores."""
    weights = np.random.default_rng(0).normal(size=(32 * 32 * 3, 10)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 32, 32, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


if __name__ == "__main__":
    main()
