"""Reduced: a float32 TFLite model rewritten as float16, dynamic or int8 by litert-quantizer."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.float_layers import never_int8
from edgecls.quantization.ranges import Range
from edgecls.system.extras import quiet_frameworks, require

Reduced = Literal["float16", "dynamic", "int8"]

# With float input and output the last softmax stays float: its int8 form has steps of 1/256, which makes ties between classes.
FLOAT_BORDER_OPERATIONS = ("INPUT", "OUTPUT", "SOFTMAX")

# Those whose kernels may have one scale; a depthwise one with one for all channels would leave most of them few codes.
WHOLE_KERNEL_OPERATIONS = ("CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
# LiteRT refuses a divisor whose code means 0, as that of a small one does, and some splits of integers altogether.
NEVER_INTEGER = ("DIV", "SPLIT")


def reduce_tflite(
    graph: TFLiteGraph,
    scheme: Reduced,
    ranges: Mapping[str, Range] | None = None,
    border: Literal["float32", "int8"] = "float32",
    float_layers: Collection[str] = (),
    *,
    per_channel: bool = True,
) -> bytes:
    """Rewrite a float32 TFLite model with a signature into another scheme.

    Args:
        graph: of the float32 file, with a SignatureDef.
        ranges: for int8, the range of every activation by tensor name.
        border: for int8, the dtype of the model's input and output.
        float_layers: for int8, names of the output tensors of operations that stay float.
        per_channel: for int8, a scale for each output channel of a kernel; else one for a kernel, depthwise ones apart.
    """
    if scheme == "int8":
        float_layers = {*float_layers, *never_int8(graph), *(_moved_probabilities(graph) if border == "float32" else ())}
    quantizer = require("litert_quantizer.quantizer").Quantizer(graph.pack(), _recipe(scheme, border, float_layers, per_channel))
    result = {name: _as_result(value) for name, value in (ranges or {}).items()}
    progress_bars = io.StringIO()  # it prints them and its statistics
    # It may be the first of the process to open an interpreter, which tells of its delegate.
    with quiet_frameworks(), contextlib.redirect_stdout(progress_bars), contextlib.redirect_stderr(progress_bars):
        quantized = quantizer.quantize(result or None)
    model = bytes(quantized.quantized_model)
    return _with_outputs_of_signature(model) if len(graph.outputs) > 1 else model


def _recipe(scheme: Reduced, border: str, float_layers: Collection[str], per_channel: bool) -> Any:
    recipes = require("litert_quantizer.recipe_manager")
    algorithm = recipes.AlgorithmName
    manager = recipes.RecipeManager()
    if scheme == "dynamic":
        manager.add_dynamic_config(regex=".*", operation_name="*", num_bits=8)
    elif scheme == "float16":
        manager.add_weight_only_config(regex=".*", operation_name="*", num_bits=16, algorithm_key=algorithm.FLOAT_CASTING)
    else:
        manager.add_static_config(regex=".*", operation_name="*", activation_num_bits=8, weight_num_bits=8)
        for operation in () if per_channel else WHOLE_KERNEL_OPERATIONS:
            whole = require("litert_quantizer.qtyping").QuantGranularity.TENSORWISE
            manager.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8, weight_granularity=whole)
        for operation in (*NEVER_INTEGER, *(FLOAT_BORDER_OPERATIONS if border == "float32" else ())):
            manager.add_quantization_config(".*", operation, algorithm_key=algorithm.NO_QUANTIZE)
        for name in sorted(float_layers):  # an operation's scope is its output's name and a semicolon
            manager.add_quantization_config(f"^{re.escape(name)};$", "*", algorithm_key=algorithm.NO_QUANTIZE)
    return manager.get_quantization_recipe()


def _moved_probabilities(graph: TFLiteGraph) -> list[str]:
    """Outputs of what only gives the result of the last softmax another shape, as in networks whose head is a convolution.

    Quantized they would bring its steps of 1/256 back; onnxruntime's integer softmax even takes other scales for 1/256.
    """
    found = []
    for result in graph.outputs:
        moved, tensor, kind = [], result, ""
        while (place := graph.makers.get(tensor)) is not None and (kind := graph.operations[place].kind) in SAME_VALUES:
            moved.append(graph.names[tensor])
            tensor = graph.operations[place].operand(0)
        found += moved if place is not None and kind == "SOFTMAX" else []
    return found


def _with_outputs_of_signature(model: bytes) -> bytes:
    """Where operations read an output too, litert-quantizer gives their codes of it, whatever the border; its signature is right."""
    graph = TFLiteGraph(model)
    graph.give_what_the_signature_names()
    return graph.pack()


def _as_result(value: Range) -> dict[str, Any]:
    return {"min": np.float32(value.low), "max": np.float32(value.high), "num_samples": 1}
