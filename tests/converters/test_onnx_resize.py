"""An ONNX file resizes to the size that the model has, where a factor in float32 is less than the share of the two sizes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper

from edgecls.converters.onnx.convert import float_onnx
from edgecls.formats.onnx.names import INPUT
from edgecls.formats.tflite.graph import TFLiteGraph
from written_tflite import resizing


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((20, 20), (18, 18)),  # 20 * float32(0.9) = 17.99999952, also in float32 less than 18
        ((299, 20), (160, 40)),
        ((10, 30), (7, 10)),  # less in float64 alone, in which onnxruntime-web multiplies
        ((32, 24), (48, 48)),
    ],
)
def test_size(before, after):
    written = resizing(before, after)
    model = float_onnx(TFLiteGraph(written))
    image = np.random.default_rng(0).uniform(0, 255, (1, *before, 3)).astype(np.float32)
    interpreter = Interpreter(model_content=written)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, image)
    interpreter.invoke()
    resized = np.asarray(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {INPUT: image})[0])
    # coordinates are off by two of their steps in float32, and by that share of the 255 between two pixels
    np.testing.assert_allclose(resized, interpreter.get_tensor(2), atol=255 * 2 * np.spacing(np.float32(max(before))), rtol=0)
    (node,) = [node for node in model.graph.node if node.op_type == "Resize"]
    (factors,) = [numpy_helper.to_array(item) for item in model.graph.initializer if item.name == node.input[2]]
    assert np.floor(np.array([1, 3, *before]) * factors.astype(np.float64)).tolist() == [1, 3, *after]
