"""Quantization of activations: the engine fuses these pairs with what lies between them and computes it in int8."""

from __future__ import annotations

import numpy as np

from edgecls.coreml_reference.block import Stored, constant_of
from edgecls.coreml_reference.call import Call, Entry, entry


def _parameters(call: Call, dtype: str) -> list[str]:
    scale = np.asarray(call.constant("scale"), np.float32)
    zero = np.asarray(call.constant("zero_point", np.zeros(scale.shape)), dtype)
    zero = np.broadcast_to(zero, scale.shape)
    return [call.graph.constant(scale), call.graph.constant(zero)]


def _axis(call: Call) -> int | None:
    """The axis of a scale for each channel."""
    return None if np.asarray(call.constant("scale")).ndim == 0 else call.axis("axis", of="input")


def kernel(call: Call, name: str) -> str:
    """The weights of an operation. Where x is dequantized and they are int8 themselves, they stay so, for the engine to compute in int8."""
    argument = call.argument(name)
    if isinstance(argument, Stored) and call.is_dequantized("x") and (found := _int8(argument)) is not None:
        data, scale, zero, axis = found
        return call.graph.node("DequantizeLinear", *map(call.graph.constant, (data, scale, zero)), axis=axis)
    return call.tensor(name)


def _int8(stored: Stored) -> tuple[np.ndarray, np.ndarray, np.ndarray, int | None] | None:
    """(values, scale, zero point, axis) of int8 weights with one scale, or one for each index of an axis; None for others."""
    packed = {name: np.asarray(constant_of(argument)) for name, argument in stored.packed.items()}
    if stored.operation == "constexpr_affine_dequantize":
        data, scale, zero, axis = packed["quantized_data"], packed["scale"], packed["zero_point"], int(packed["axis"])
    elif stored.operation == "constexpr_blockwise_shift_scale":
        data, scale = packed["data"], packed["scale"]
        zero = packed.get("offset", np.zeros((), np.int8))
        axes = [axis for axis, blocks in enumerate(scale.shape) if blocks > 1]
        if len(axes) > 1 or any(scale.shape[axis] != data.shape[axis] for axis in axes):
            return None
        axis = axes[0] if axes else 0
        scale, zero = (values.reshape(-1) if axes else values.reshape(-1)[:1].reshape(()) for values in (scale, zero))
    else:
        return None
    if data.dtype != np.int8 or zero.dtype.kind == "f":
        return None
    scale = scale.astype(np.float32)
    shape = np.broadcast_shapes(scale.shape, zero.shape)
    zero = np.broadcast_to(zero.astype(data.dtype), shape)
    return data, np.broadcast_to(scale, shape), zero, axis if shape else None


def _quantize(call: Call) -> str:
    dtype = call.choice("output_dtype", ("int8", "uint8"), "")
    return call.graph.node("QuantizeLinear", call.tensor("input"), *_parameters(call, dtype), axis=_axis(call))


def _dequantize(call: Call) -> str:
    return call.graph.node("DequantizeLinear", call.tensor("input"), *_parameters(call, call.dtype("input")), axis=_axis(call))


def _single_scale(call: Call) -> bool:
    return _axis(call) != 0


ENTRIES: dict[str, Entry] = {
    "quantize": entry(_quantize, "input zero_point scale output_dtype axis", _single_scale),
    "dequantize": entry(_dequantize, "input zero_point scale axis", _single_scale),
}
