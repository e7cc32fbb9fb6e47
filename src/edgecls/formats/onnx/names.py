"""How values are called in the ONNX files of this package, and which TFLite tensor each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT, BATCH = "image", "scores", "batch"
BEFORE_ACTIVATION = "/before_activation"
BEFORE_BIAS = "/before_bias"
AS_MATRIX, AS_ROW = "/matrix", "/row"  # with the last axis as columns; an image's values one after another
WEIGHT_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}  # Gemm with transB: 0


def tflite_name(name: str) -> str:
    """Name of the TFLite tensor whose operation computes a value."""
    return name.removesuffix(BEFORE_BIAS).removesuffix(BEFORE_ACTIVATION).removesuffix(AS_MATRIX)


def has_free_batch(model: onnx.ModelProto) -> bool:
    """Whether it takes any number of images at once."""
    return model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == BATCH
