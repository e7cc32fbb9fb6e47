"""Heights: how far each channel of a value reaches on a few images, and values with their channels multiplied."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgecls.formats.onnx.names import INPUT, has_free_batch
from edgecls.quantization.calibration import open_session, rebatch, shapes_of
from edgecls.quantization.equalization import Factors, Heights

if TYPE_CHECKING:
    import onnx

_MULTIPLIED = "/equalized"


def collect_heights(
    model: onnx.ModelProto, channels: Mapping[str, int], batches: Iterable[np.ndarray], threads: int
) -> dict[str, Heights]:
    """Run a float ONNX model and look at the channels of its values.

    Args:
        model: from `float_onnx`.
        channels: how many the values have, by name; those with another axis 1 are left out of the result.
        batches: model inputs [n, *input_shape], float32.
        threads: cores to use.
    """
    from onnx import TensorProto, helper

    probed, shapes = copy.deepcopy(model), shapes_of(model)
    found = [name for name, count in channels.items() if shapes.get(name, [])[1:2] == [count]]
    if not found:
        return {}
    del probed.graph.output[:]
    for name in found:
        axes = [axis for axis in range(len(shapes[name])) if axis != 1]
        size, square, other = f"{name}/size", f"{name}/square", f"{name}/other_than_zero"
        for kind, inputs, result in (("Abs", [name], size), ("Mul", [name, name], square), ("Sign", [size], other)):
            probed.graph.node.append(helper.make_node(kind, inputs, [result]))
        for kind, value in (("ReduceMax", size), ("ReduceMean", name), ("ReduceMean", square), ("ReduceMean", other)):
            result = f"{value}/height"
            probed.graph.node.append(helper.make_node(kind, [value], [result], axes=axes, keepdims=0))
            probed.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
    session = open_session(probed, threads)
    seen = [session.run(None, {INPUT: batch}) for batch in rebatch(batches, whole=has_free_batch(model))]
    columns = iter([np.stack(column).astype(np.float64) for column in zip(*seen, strict=True)])
    heights = {}
    for name in found:
        highest, mean, square, active = (next(columns) for _ in range(4))
        about_mean = np.maximum(square.mean(axis=0) - mean.mean(axis=0) ** 2, 0)
        heights[name] = Heights(highest.max(axis=0), about_mean, active.mean(axis=0))
    return heights


def with_multiples(model: onnx.ModelProto, factors: Factors) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A float ONNX model that also makes some of its values with their channels (axis 1) multiplied.

    Args:
        factors: by value name.

    Returns:
        The model, and the names of the new values by those of the old.
    """
    from onnx import helper, numpy_helper

    changed, shapes, names = copy.deepcopy(model), shapes_of(model), {}
    for name, factor in factors.items():
        shape = shapes.get(name, [])
        if shape[1:2] == [len(factor)]:
            names[name], given = name + _MULTIPLIED, f"{name}{_MULTIPLIED}/factors"
            spread = factor.astype(np.float32).reshape(-1, *[1] * (len(shape) - 2))
            changed.graph.initializer.append(numpy_helper.from_array(spread, given))
            changed.graph.node.append(helper.make_node("Mul", [name, given], [names[name]]))
    return changed, names
