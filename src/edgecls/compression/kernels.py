"""The kernels of a flat tf_keras model, and which of them pruning and clustering work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.records.variant import Kernel

_WHOLE = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Dense")
_DEPTHWISE = "a depthwise kernel has few weights for each channel: zeros or shared values would cost much and save little"


@dataclass(frozen=True)
class LayerKernel:
    """One kernel.

    Attributes:
        layer: name of its layer, with `/depthwise` or `/pointwise` behind it where a layer has two.
        variable: tf_keras' variable; the last axis is the outputs, the one before it the inputs.
        note: why pruning and clustering leave it alone; empty where they do not.
    """

    layer: str
    variable: Any
    note: str = ""


def layer_kernels(model: Any) -> list[LayerKernel]:
    """All kernels of a flat model, in the order of its layers."""
    found = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in _WHOLE:
            found.append(LayerKernel(layer.name, layer.kernel))
        elif kind == "DepthwiseConv2D":
            found.append(LayerKernel(layer.name, layer.depthwise_kernel, _DEPTHWISE))
        elif kind == "SeparableConv2D":
            found.append(LayerKernel(f"{layer.name}/depthwise", layer.depthwise_kernel, _DEPTHWISE))
            found.append(LayerKernel(f"{layer.name}/pointwise", layer.pointwise_kernel))
    return found


def chosen_kernels(kernels: list[LayerKernel], *, skip_first: bool, skip_last: bool) -> list[LayerKernel]:
    """Those that a technique works on: all without a note, the first or the last left out where the recipe says so."""
    usable = [kernel for kernel in kernels if not kernel.note]
    return usable[1 if skip_first else 0 : len(usable) - 1 if skip_last else None]


def describe_kernels(kernels: list[LayerKernel], notes: dict[str, str]) -> dict[str, Kernel]:
    """What each kernel holds; `notes` say why a technique left a layer alone."""
    described = {}
    for kernel in kernels:
        values = kernel.variable.numpy()
        described[kernel.layer] = Kernel(
            elements=values.size,
            sparsity=1 - np.count_nonzero(values) / values.size,
            distinct_values=len(np.unique(values)),
            note=notes.get(kernel.layer, kernel.note),
        )
    return described
