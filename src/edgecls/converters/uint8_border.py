"""The border of uint8: an int8 TFLite model that takes and gives uint8, as cameras give pixels and older int8 files had it.

Everything between stays int8: a QUANTIZE operation at each end only says the same values in other codes.
"""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecls.errors import ConversionError
from edgecls.image_spec import ImageSpec

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
    unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = unpacked.subgraphs[0]
    source, result = int(graph.inputs[0]), int(graph.outputs[0])
    taken, given = (_as_uint8(graph, tensor) for tensor in (source, result))
    pixels = pixel_codes(spec)
    if pixels is not None:
        graph.tensors[taken].quantization = _quantization(*pixels)
    code = _quantize_code(unpacked)
    graph.operators = [_operator(code, taken, source), *graph.operators, _operator(code, result, given)]
    graph.inputs, graph.outputs = [taken], [given]
    for signature in unpacked.signatureDefs or []:
        for side, tensor in ((signature.inputs, taken), (signature.outputs, given)):
            side[0].tensorIndex = tensor
    builder = flatbuffers.Builder(len(model) + 2**16)
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def pixel_codes(spec: ImageSpec) -> tuple[float, int] | None:
    """Scale and zero point with which the codes 0..255 are the pixels themselves; None where there are none such."""
    means, stds = set(spec.mean), set(spec.std)
    if len(means) > 1 or len(stds) > 1:
        return None
    mean, std = means.pop(), stds.pop()
    return (1 / std, int(mean)) if std > 0 and mean in range(256) else None


def describe_border(model: bytes, spec: ImageSpec) -> str:
    """What a file of `take_uint8` takes and gives, for people."""
    unpacked: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = unpacked.subgraphs[0]
    (scale, zero), (score_scale, score_zero) = (
        (float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
        for tensor in (graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]])
    )
    takes = (
        "pixels 0..255 as they are"
        if pixel_codes(spec) is not None
        else f"not pixels, but the codes round(x / {scale:.7g}) + {zero} of what they become by the preprocessing, x"
    )
    return f"takes uint8: {takes}; gives uint8: a score is (code - {score_zero}) * {score_scale:.7g}"


def _as_uint8(graph: Any, index: int) -> int:
    """Another tensor like an int8 one, of the same values in codes of uint8."""
    original = graph.tensors[index]
    if original.type != schema.TensorType.INT8:
        raise ConversionError(
            "an int8 model that takes and gives int8", f"{original.name.decode()} of another type", "use --io float32"
        )
    tensor = copy.copy(original)
    tensor.name, tensor.type, tensor.buffer = original.name + _SUFFIX.encode(), schema.TensorType.UINT8, 0
    tensor.quantization = _quantization(float(original.quantization.scale[0]), int(original.quantization.zeroPoint[0]) + _HIGHER)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _quantization(scale: float, zero_point: int) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)
    return parameters


def _quantize_code(model: Any) -> int:
    """Index of the QUANTIZE operation among those of the model, added where it has none."""
    kind = schema.BuiltinOperator.QUANTIZE
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _operator(code: int, source: int, result: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, [source], [result]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT()
    return operator
