"""The border of uint8: an int8 TFLite model that takes and gives uint8, as cameras give pixels and older int8 files had it.

Everything between stays int8: a QUANTIZE operation at each end only says the same values in other codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.errors import ConversionError
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.records.image_spec import ImageSpec

_SUFFIX = "_uint8"
_HIGHER = 128  # a uint8 code is so much higher than the int8 code of the same value


def take_uint8(model: bytes, spec: ImageSpec) -> bytes:
    """An int8 model with a border of uint8.

    Where its preprocessing is one mean, a whole number, and one std, the codes that it takes are the pixels themselves. Else they are the
    int8 codes, 128 higher, as those that it gives always are.

    Args:
        model: takes and gives int8.

    Raises:
        ConversionError: it takes or gives something else.
    """
    graph = TFLiteGraph(model)
    (source,) = graph.inputs
    border = {tensor: _as_uint8(graph, tensor) for tensor in (source, *graph.outputs)}
    pixels = pixel_codes(spec)
    if pixels is not None:
        graph.tensor(border[source]).quantization = _quantization(*pixels)
    given = [_quantize(graph, tensor, border[tensor]) for tensor in graph.outputs]
    between = [operation.operator for operation in graph.operations]
    graph.replace_operators([_quantize(graph, border[source], source), *between, *given])
    graph.replace_border(border)
    return graph.pack()


def pixel_codes(spec: ImageSpec) -> tuple[float, int] | None:
    """Scale and zero point with which the codes 0..255 are the pixels themselves; None where there are none such."""
    means, stds = set(spec.mean), set(spec.std)
    if len(means) > 1 or len(stds) > 1:
        return None
    mean, std = means.pop(), stds.pop()
    return (1 / std, int(mean)) if std > 0 and mean in range(256) else None


def describe_border(model: bytes, spec: ImageSpec) -> str:
    """What a file of `take_uint8` takes and gives, for people."""
    graph = TFLiteGraph(model)
    (scale, zero), *results = (
        (float(quantization.scale[0]), int(quantization.zeroPoint[0]))
        for quantization in (graph.tensor(tensor).quantization for tensor in (graph.inputs[0], *graph.outputs))
    )
    takes = (
        "pixels 0..255 as they are"
        if pixel_codes(spec) is not None
        else f"not pixels, but the codes round(x / {scale:.7g}) + {zero} of what they become by the preprocessing, x"
    )
    gives = ", ".join(f"(code - {result_zero}) * {result_scale:.7g}" for result_scale, result_zero in results)
    return f"takes uint8: {takes}; gives uint8: a score is {gives}{' in the order of the outputs' if len(results) > 1 else ''}"


def _as_uint8(graph: TFLiteGraph, tensor: int) -> int:
    """Another tensor like an int8 one, of the same values in codes of uint8."""
    original = graph.tensor(tensor)
    if original.type != schema.TensorType.INT8:
        raise ConversionError(
            "an int8 model that takes and gives int8", f"{graph.names[tensor]} of another type", "use --io float32"
        )
    added = graph.add_tensor_like(tensor, graph.names[tensor] + _SUFFIX)
    zero_point = int(original.quantization.zeroPoint[0]) + _HIGHER
    graph.tensor(added).type = schema.TensorType.UINT8
    graph.tensor(added).quantization = _quantization(float(original.quantization.scale[0]), zero_point)
    return added


def _quantization(scale: float, zero_point: int) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)
    return parameters


def _quantize(graph: TFLiteGraph, source: int, result: int) -> Any:
    """An operation that says the same values in other codes."""
    options = schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT()
    return graph.make_operator("QUANTIZE", [source], [result], *options)
