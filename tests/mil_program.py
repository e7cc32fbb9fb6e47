"""Computes what the program in a Core ML package computes, in float32, by TensorFlow on the CPU: an independent reading of the file.

Only the operations of plain convolutional classifiers; another one is a KeyError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.system.extras import require


def run_package(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Scores [N, classes] in the order of the class labels for pixels [N, H, W, C], 0..255, RGB or grey."""
    from coremltools.converters.mil.frontend.milproto.load import load

    ct: Any = require("coremltools")
    spec = ct.utils.load_spec(str(path))
    program = load(spec, spec.specificationVersion, str(path / "Data" / "com.apple.CoreML" / "weights"))
    kind = spec.description.input[0].type
    if kind.WhichOneof("Type") == "imageType":
        images = pixels[..., ::-1] if kind.imageType.colorSpace == 30 else pixels  # BGR
        inputs = images.transpose(0, 3, 1, 2)
    else:
        inputs = pixels
    operations = program.functions["main"].operations
    return np.concatenate([_run(operations, image[None].astype(np.float32)) for image in inputs])


def _run(operations: Any, image: np.ndarray) -> np.ndarray:
    values: dict[int, np.ndarray] = {}

    def value(var: Any) -> Any:
        if id(var) in values:
            return values[id(var)]
        return image if var.val is None and var.op is None else var.val

    for operation in operations:
        if operation.op_type == "const":
            continue
        if operation.op_type == "classify":
            return np.asarray(value(operation.probabilities)).reshape(1, -1)
        if operation.op_type.startswith("constexpr_"):
            result = operation.materialized_val_inference()
        else:
            arguments = {
                name: [value(item) for item in var] if isinstance(var, list | tuple) else value(var)
                for name, var in operation.inputs.items()
            }
            result = _OPERATIONS[operation.op_type](**{name: _wide(item) for name, item in arguments.items()})
        values[id(operation.outputs[0])] = np.asarray(result)
    raise ValueError("the program has no classify operation")


def _wide(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _conv(
    x: Any, weight: Any, strides: Any, pad_type: str, pad: Any, dilations: Any, groups: int, bias: Any = None, **_: Any
) -> Any:
    tf: Any = require("tensorflow")
    x, padding = _padded(x, pad_type, pad, 0.0)
    kernel = weight.transpose(2, 3, 1, 0)
    step, spread = [int(item) for item in strides], [int(item) for item in dilations]
    if groups == 1:
        result = tf.nn.conv2d(x, kernel, step, padding, dilations=spread)
    else:  # depthwise: one group a channel
        assert weight.shape[1] == 1 and groups == x.shape[-1]
        kernel = kernel.reshape(*kernel.shape[:2], groups, -1)
        result = tf.nn.depthwise_conv2d(x, kernel, [1, *step, 1], padding, dilations=spread)
    result = np.asarray(result).transpose(0, 3, 1, 2)
    return result if bias is None else result + bias.reshape(1, -1, 1, 1)


def _pool(name: str) -> Callable[..., Any]:
    def pool(x: Any, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any = None, **_: Any) -> Any:
        tf: Any = require("tensorflow")
        x, padding = _padded(x, pad_type, pad, -np.inf if name == "MAX" else 0.0)
        sizes, step = [int(item) for item in kernel_sizes], [int(item) for item in strides]
        if sizes == [1, 1]:  # TensorFlow refuses strides larger than the window
            return x[:, :: step[0], :: step[1]].transpose(0, 3, 1, 2)
        return np.asarray(tf.nn.pool(x, sizes, name, step, padding)).transpose(0, 3, 1, 2)

    return pool


def _padded(x: Any, pad_type: str, pad: Any, fill: float) -> tuple[np.ndarray, str]:
    x = x.transpose(0, 2, 3, 1)
    if pad_type == "custom" and np.any(pad):
        top, bottom, left, right = (int(item) for item in pad)
        x = np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=fill)
    return x, "SAME" if pad_type == "same" else "VALID"


def _pad(x: Any, pad: Any, constant_val: float = 0.0, **_: Any) -> Any:
    pairs = [(int(before), int(after)) for before, after in np.asarray(pad).reshape(-1, 2)]
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, constant_values=constant_val)


def _turned(x: Any, turn: bool) -> Any:
    return np.swapaxes(x, -1, -2) if turn else x


def _slice(x: Any, begin: Any, end: Any, stride: Any = None, begin_mask: Any = None, end_mask: Any = None, **_: Any) -> Any:
    def at(values: Any, axis: int, default: Any) -> Any:
        return default if values is None else values[axis]

    return x[
        tuple(
            slice(
                None if at(begin_mask, axis, False) else int(begin[axis]),
                None if at(end_mask, axis, False) else int(end[axis]),
                int(at(stride, axis, 1)),
            )
            for axis in range(len(begin))
        )
    ]


def _batch_norm(x: Any, mean: Any, variance: Any, epsilon: Any, gamma: Any = 1.0, beta: Any = 0.0) -> Any:
    def per_channel(values: Any) -> Any:
        return np.reshape(values, (1, -1, *[1] * (x.ndim - 2)))

    return per_channel(gamma) * (x - per_channel(mean)) / np.sqrt(per_channel(variance) + epsilon) + per_channel(beta)


def _softmax(x: Any, axis: int) -> Any:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "cast": lambda x, dtype: x,  # float16 or float32: all is float32 here
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": _softmax,
    "concat": lambda values, axis, **_: np.concatenate(values, axis=int(axis)),
    "reshape": lambda x, shape: np.reshape(x, [int(item) for item in shape]),
    "transpose": lambda x, perm: np.transpose(x, [int(item) for item in perm]),
    "reduce_mean": lambda x, axes, keep_dims: x.mean(axis=tuple(int(item) for item in axes), keepdims=bool(keep_dims)),
    "linear": lambda x, weight, bias=0.0: x @ weight.T + bias,
    "matmul": lambda x, y, transpose_x=False, transpose_y=False: _turned(x, transpose_x) @ _turned(y, transpose_y),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x, mode: 0.5 * x * (1 + np.vectorize(math.erf)(x * 2**-0.5)).astype(np.float32),
    "square": lambda x: x * x,
    "rsqrt": lambda x, epsilon: 1 / np.sqrt(x + epsilon),
    "tile": lambda x, reps: np.tile(x, [int(item) for item in reps]),
    "slice_by_index": _slice,
    "batch_norm": _batch_norm,
    "conv": _conv,
    "max_pool": _pool("MAX"),
    "avg_pool": _pool("AVG"),
    "pad": _pad,
}
