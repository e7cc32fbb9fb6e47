"""Models that Keras 3 quantized in place, with `model.quantize("int8")`: their kernels become float again, as the layers had them.

No converter has the integer products Keras computes them with, and int8 files get ranges of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecls.errors import UnsupportedModelError
from edgecls.records.artifact import Repair
from edgecls.system.extras import require

_INT8 = "int8"


def dequantize(model: Any) -> list[Repair]:
    """Give each quantized layer of a Keras 3 model its float kernel, in place; what was done.

    Raises:
        UnsupportedModelError: a mode or a layer whose kernel is not known.
    """
    repairs = []
    for layer in model._flatten_layers():
        mode = getattr(layer, "quantization_mode", None)
        if mode is None:
            continue
        kind = type(layer).__name__
        if mode != _INT8 or kind not in ("Dense", "EinsumDense"):
            raise UnsupportedModelError(
                "a float model, or one of Dense and EinsumDense layers that Keras quantized to int8",
                f"{layer.name}, a {kind} that Keras quantized to {mode}",
                "give the file of the model before model.quantize(); int8 files are made of that",
            )
        _make_float(layer, _kernel(layer))
        repairs.append(Repair(layer=layer.name, field="dtype", action="int8 of Keras's model.quantize() dequantized"))
    return repairs


def _kernel(layer: Any) -> np.ndarray:
    """The stored integers over their scale, which Keras keeps as codes per unit."""
    scale = layer.kernel_scale
    if hasattr(layer, "_adjust_scale_for_dequant"):  # of an EinsumDense: laid out as its output is
        scale = layer._adjust_scale_for_dequant(scale)
    return np.asarray(layer._kernel, np.float32) / np.asarray(scale, np.float32)


def _make_float(layer: Any, kernel: np.ndarray) -> None:
    """What `quantize` did to a layer, undone: its variables, and the policy that chooses how it is called."""
    layer._tracker.unlock()
    del layer._kernel, layer.kernel_scale
    layer._kernel = layer.add_weight(name="kernel", shape=kernel.shape, dtype="float32")
    layer._kernel.assign(kernel)
    layer._trainable_variables.insert(0, layer._trainable_variables.pop())  # before the bias, as it was
    layer._tracker.lock()
    layer._dtype_policy = require("keras").dtype_policies.get("float32")
