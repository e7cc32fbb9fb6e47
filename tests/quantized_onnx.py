"""ONNX files as onnxruntime quantizes them, of a small random network: convolutions, one of them depthwise, and a dense layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, CLASSES = 16, 10


def quantize(folder: Path, how: str, *, weights: str = "QInt8", reduce_range: bool = False, dense: str = "MatMul") -> Path:
    """`how`: QDQ, QOperator or dynamic; weights for each channel."""
    from onnxruntime import quantization
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            generator = np.random.default_rng(1)
            self._images = iter([generator.random((1, SIZE, SIZE, 3)).astype(np.float32) for _ in range(8)])

        def get_next(self):
            image = next(self._images, None)
            return None if image is None else {"image": image}

    source, path = folder / "float.onnx", folder / f"{how}-{weights}-{reduce_range}-{dense}.onnx"
    onnx.save(_network(dense), source)
    common = {"weight_type": QuantType[weights], "per_channel": True, "reduce_range": reduce_range}
    if how == "dynamic":
        quantize_dynamic(source, path, **common)
    else:
        quantize_static(source, path, Reader(), quant_format=QuantFormat[how], activation_type=QuantType.QUInt8, **common)
    return path


def _network(dense: str) -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    kernels = {
        "first": generator.normal(0, 0.3, (16, 3, 3, 3)),
        "depthwise": generator.normal(0, 0.5, (16, 1, 3, 3)),
        "second": generator.normal(0, 0.2, (32, 16, 3, 3)),
        "dense": generator.normal(0, 0.3, (32, CLASSES)),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["pixels"], name="transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["pixels", "first"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "depthwise"], ["c"], name="depthwise", group=16),
        helper.make_node("Conv", ["c", "second"], ["d"], name="second", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="pool"),
        helper.make_node("Flatten", ["e"], ["f"], name="flatten"),
        helper.make_node(dense, ["f", "dense"], ["scores"], name="dense"),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in kernels.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
