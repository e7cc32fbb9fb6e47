"""Equalized programs: a float16 MIL program with its channels multiplied as those of the float model that int8 rounds.

The factors are powers of two, so that the program computes what it did (see `quantization.equalization`), but for the digits that float16
lacks below 6e-5. Kernels are matched with those of the TFLite model by their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecls.converters.coreml.weights import AXES, kernels, replace_constant
from edgecls.formats.tflite.graph import BIAS, CHANNEL_AXIS, KERNEL, TFLiteGraph
from edgecls.quantization.codes import weight_orders
from edgecls.quantization.equalization import Factors, equalized

_DIGITS = 1e-3  # of a weight: float16 rounds by half of that, and weights of another layer are farther off somewhere


@dataclass(frozen=True)
class ScaledKernel:
    """Weights of one operation of the float TFLite model, in its layout.

    Attributes:
        before, after: as they were, and multiplied.
        made: factors of the channels that the operation makes [C]; None where these stay as they are.
        has_bias: whether it adds anything but zeros.
    """

    before: np.ndarray
    after: np.ndarray
    made: np.ndarray | None
    has_bias: bool


def scaled_kernels(graph: TFLiteGraph, factors: Factors) -> list[ScaledKernel]:
    """The kernels of a float32 TFLite model that read or make channels with factors."""
    found = []
    for operation, changed in zip(graph.operations, (after := equalized(graph, factors)).operations, strict=True):
        names = {graph.names[tensor] for tensor in (operation.operand(0), operation.output)}
        before, bias = graph.floats(operation.operand(KERNEL)), graph.floats(operation.operand(BIAS))
        kernel = after.floats(changed.operand(KERNEL))
        if before is None or kernel is None or not factors.keys() & names or operation.kind not in CHANNEL_AXIS:
            continue
        made = factors.get(graph.names[operation.output])
        found.append(ScaledKernel(before, kernel, made, bias is not None and bool(bias.any())))
    return found


def equalize_program(program: Any, scaled: Sequence[ScaledKernel]) -> bool:
    """Multiply the channels of a float16 MIL program in place.

    Returns:
        Whether each kernel was found, once; where one is not, nothing is changed.
    """
    function = program.functions["main"]
    constants = [kernel.constant for kernel in kernels(function, smallest=1)]
    places = [(constant, found) for constant in constants if (found := _match(constant, scaled))]
    once = len(places) == len(scaled) and {id(kernel) for _, (kernel, _) in places} == {id(kernel) for kernel in scaled}
    if not once or not all(_can_make(constant, kernel) for constant, (kernel, _) in places):
        return False
    with function:
        for constant, (kernel, values) in places:
            takers = list(constant.outputs[0].child_ops)
            replace_constant(constant, _constant(values.astype(constant.outputs[0].val.dtype), constant))
            for taker in takers if kernel.made is not None and kernel.has_bias else ():
                replace_bias(taker, taker.inputs["bias"].val * kernel.made)
    return True


def replace_bias(operation: Any, bias: np.ndarray) -> None:
    """The same operation with another bias; as it is where it has one of another shape (see `_can_make`)."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    old = operation.outputs[0]
    given = {name: var for name, var in operation.inputs.items() if var is not None}
    if "bias" in given and given["bias"].shape != bias.shape:
        return
    given["bias"] = bias.astype(given["weight"].val.dtype)
    made = getattr(mb, operation.op_type)(**given, name=operation.name, before_op=operation)
    block = operation.enclosing_block
    block.replace_uses_of_var_after_op(anchor_op=operation, old_var=old, new_var=made)
    block.remove_ops([operation])
    made.name = old.name


def _match(constant: Any, scaled: Sequence[ScaledKernel]) -> tuple[ScaledKernel, np.ndarray] | None:
    """The kernel that a constant holds, and what it is multiplied to, in the constant's layout; None where there is none."""
    values = constant.outputs[0].val.astype(np.float32)
    for kernel in scaled:
        for before, after in zip(
            weight_orders(kernel.before, values.shape), weight_orders(kernel.after, values.shape), strict=True
        ):
            if np.allclose(values, before, rtol=_DIGITS, atol=_DIGITS * 0.1 * float(np.abs(before).max())):
                return kernel, after
    return None


def _can_make(constant: Any, kernel: ScaledKernel) -> bool:
    """Whether what takes a constant adds its bias itself, where that has to be multiplied as well."""
    takers = constant.outputs[0].child_ops
    biased = [taker.op_type in AXES and _is_multiplied(taker.inputs.get("bias"), kernel.made) for taker in takers]
    return len(takers) == 1 and (kernel.made is None or not kernel.has_bias or all(biased))


def _is_multiplied(bias: Any, made: np.ndarray | None) -> bool:
    """Whether there is a bias, with a value for each factor."""
    return bias is not None and made is not None and bias.shape == made.shape


def _constant(values: np.ndarray, before: Any) -> Any:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    return mb.const(val=np.ascontiguousarray(values), name=f"{before.name}_equalized", before_op=before)
