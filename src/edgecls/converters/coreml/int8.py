"""Core ML int8: the float16 program with the int8 parameters that the TFLite and ONNX files carry (W8A8, from iOS 17 on).

Values of the MIL program and tensors of the TFLite model have different names and layouts. They are matched by what they hold: both
models compute the same images in float, and a value belongs to the tensor whose sorted values are the same. A value that no tensor
matches has no fixed range; it stays float, and the package's description says so. Kernels are matched by their values alike.

Core ML stores scales as float16. A value whose scale float16 does not hold stays float, and so does a kernel, unless such channels are so
small that the result is the same.

A matched value that an operation computes with gets a `quantize` and a `dequantize` behind it. Core ML fuses `dequantize`, an operation and
`quantize` to one that computes in int8, with the activation between where there is one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.converters.coreml import weights as coreml_weights
from edgecls.converters.coreml.equalized import ScaledKernel, equalize_program, replace_bias
from edgecls.converters.coreml.weights import Kernel, kernels, replace_constant, store_affine
from edgecls.coreml_reference import open_program
from edgecls.quantization.codes import weight_orders
from edgecls.quantization.parameters import Affine, OperationParameters, Parameters
from edgecls.quantization.scales import STEPS, is_float16
from edgecls.records.image_spec import ImageSpec

if TYPE_CHECKING:
    import onnx

IMAGES = 2  # that values are matched on
QUANTILES = np.linspace(0, 1, 257)
# Float16 weights move values by some 1e-3 of their size, in networks that amplify rounding by 1e-2. Tensors that lie closer together than
# this have the same range but for a fraction of a step, so that taking one for the other changes nothing that matters.
CLOSE = 0.03
UNEQUALIZED = "unequalized"  # key of the user-defined metadata
NOT_COMPUTING = ("cast", "classify")
MIL_SAME_VALUES = ("pad", "transpose", "reshape", "squeeze", "expand_dims", "max_pool")
MIL_SAME_AXES = ("transpose", "squeeze", "expand_dims")


@dataclass(frozen=True)
class SharedInt8:
    """What the Core ML program takes over from the one int8 quantization.

    Attributes:
        parameters: of the TFLite int8 model.
        pixels: images [IMAGES, H, W, C], uint8, that values are matched on.
        signatures: by TFLite name, what each tensor of the float model holds on them (see `signature`).
        scaled: kernels of the float model that were multiplied before it was quantized (see `quantization.equalization`).
        as_given: parameters of the model without that, for a program in which one of them is not found.
    """

    parameters: Parameters
    pixels: np.ndarray
    signatures: dict[str, np.ndarray]
    scaled: Sequence[ScaledKernel] = ()
    as_given: Parameters | None = None


def share_int8(
    spec: ImageSpec, model: onnx.ModelProto, names: Mapping[str, str], parameters: Parameters, threads: int
) -> SharedInt8:
    """Compute the float model on a few synthetic images.

    Args:
        spec: how pixels enter the model.
        model: float ONNX model.
        names: TFLite name -> name in the ONNX model.
        parameters: of the int8 model made from the same float model.
        threads: on how many cores.
    """
    from onnx import TensorProto, helper

    from edgecls.data.synthetic import synthetic_pixels
    from edgecls.formats.onnx.names import INPUT
    from edgecls.quantization.calibration import open_session

    pixels = synthetic_pixels(spec, IMAGES)
    inputs = spec.apply(pixels)
    wanted = {name: names[name] for name in parameters.activations if names.get(name, INPUT) != INPUT}
    probed = copy.deepcopy(model)
    known = {output.name for output in probed.graph.output}
    probed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in dict.fromkeys(wanted.values())
        if name not in known
    )
    session = open_session(probed, threads)
    outputs = list(dict.fromkeys(wanted.values()))
    answers = [session.run(outputs, {INPUT: image[None]}) for image in inputs]
    found = {name: signature([answer[place] for answer in answers]) for place, name in enumerate(outputs)}
    signatures = {name: found[value] for name, value in wanted.items()}
    if parameters.input in parameters.activations:
        signatures[parameters.input] = signature(list(inputs))
    return SharedInt8(parameters, pixels, signatures)


def signature(values: list[Any]) -> np.ndarray:
    """What a tensor holds whatever its layout, by image: how many values, and their quantiles [images, 1 + len(QUANTILES)]."""
    rows = []
    for image in values:
        ordered = np.sort(np.asarray(image, np.float32), axis=None)
        places = np.rint(QUANTILES * (ordered.size - 1)).astype(np.int64)
        rows.append(np.concatenate([[ordered.size], ordered[places]]))
    return np.array(rows)


def match_values(package: Path, shared: SharedInt8) -> dict[str, Affine]:
    """Parameters of each value of a float16 package that holds what a tensor of the TFLite model holds."""
    program = open_program(package)
    names = [tensor.name for tensor in program.values if tensor.dtype in ("float16", "float32") and tensor.name != program.scores]
    answers = program.run(shared.pixels, names)
    activations = shared.parameters.activations
    tensors = list(shared.signatures)
    known = np.array([shared.signatures[name] for name in tensors])
    matched = {}
    for name in names:
        own = signature(list(answers[name]))
        same_size = np.flatnonzero((known[:, :, 0] == own[:, 0]).all(axis=1))
        if not same_size.size:
            continue
        distance = np.square(known[same_size, :, 1:] - own[:, 1:]).mean(axis=(1, 2))
        best = int(distance.argmin())
        energy = np.square(known[same_size[best], :, 1:]).mean()
        if distance[best] <= CLOSE**2 * energy:
            matched[name] = activations[tensors[same_size[best]]]
    return matched


def take_over(program: Any, package: Path, shared: SharedInt8) -> dict[str, str]:
    """Change a float16 MIL program in place.

    Args:
        package: that the program was loaded from.

    Returns:
        What the package should tell of that: `UNEQUALIZED`, where its channels stay as they are.
    """
    remarks = {}
    if shared.as_given is not None and not equalize_program(program, shared.scaled):
        shared = replace(shared, parameters=shared.as_given)
        remarks[UNEQUALIZED] = "a kernel of the float model is not in the program as it is there"
    quantize_program(program, match_values(package, shared), shared.parameters)
    return remarks


def quantize_program(program: Any, values: Mapping[str, Affine], parameters: Parameters) -> None:
    """Change a float16 MIL program in place.

    Args:
        values: from `match_values`.
        parameters: of the TFLite int8 model.
    """
    function = program.functions["main"]
    values = {name: affine for name, affine in _spread(function, values).items() if is_float16(affine.scale).all()}
    with function:
        _quantize_kernels(function, values, parameters)
        for operation, following in pairwise(list(function.operations)):
            for var in operation.outputs:
                computing = [child for child in var.child_ops if child.op_type not in NOT_COMPUTING]
                if var.name in values and var.val is None and computing:
                    _quantize(function, var, values[var.name], following)


def _spread(function: Any, values: Mapping[str, Affine]) -> dict[str, Affine]:
    """Give what an operation makes the parameters of what it takes, where it only moves values or adds zeros, and none are known."""
    spread = dict(values)
    for operation in function.operations:
        data = operation.inputs.get("x")
        if operation.op_type not in MIL_SAME_VALUES or data is None or data.name not in spread:
            continue
        filling = operation.inputs.get("constant_val")
        if filling is None or not filling.val:
            spread.setdefault(operation.outputs[0].name, spread[data.name])
    return spread


def _quantize(function: Any, var: Any, affine: Affine, following: Any) -> None:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    scale = affine.scale[0].astype(types.nptype_from_builtin(var.dtype))
    given = {"scale": scale, "zero_point": np.int8(affine.zero_point[0]), "before_op": following}
    codes = mb.quantize(input=var, output_dtype="int8", name=f"{var.name}_quantize", **given)
    real = mb.dequantize(input=codes, name=f"{var.name}_dequantize", **given)
    function.replace_uses_of_var_after_op(anchor_op=real.op, old_var=var, new_var=real)


def _quantize_kernels(function: Any, values: Mapping[str, Affine], parameters: Parameters) -> None:
    """Give each kernel and its bias the integers of the TFLite operation that has the same kernel."""
    found = {name: operation for name, operation in parameters.operations.items() if operation.weights is not None}
    for kernel in list(kernels(function)):
        best = _same_kernel(kernel, found)
        if best is None:
            continue
        name, codes = best
        operation = found[name]
        scale = np.broadcast_to(operation.constants[1].scale, kernel.values.shape[kernel.output_axis])
        inputs = [taker.inputs.get("x") for taker in kernel.constant.outputs[0].child_ops]
        reach = max(
            (STEPS * float(values[data.name].scale[0]) for data in inputs if data is not None and data.name in values),
            default=np.inf,
        )
        if not _same_sums(np.moveaxis(codes, kernel.output_axis, 0), scale, reach, parameters.activations.get(name)):
            continue
        for taker in list(kernel.constant.outputs[0].child_ops):
            data = taker.inputs.get("x")
            if operation.bias is not None and data is not None and data.name in values and taker.op_type in coreml_weights.AXES:
                bias = (operation.bias * (values[data.name].scale[0] * scale)).astype(np.float32)
                replace_bias(taker, bias - _added_behind(taker, bias))
        shape = [-1 if axis == kernel.output_axis else 1 for axis in range(codes.ndim)]
        stored = coreml_weights.AffineWeights(codes, scale.reshape(shape).astype(kernel.values.dtype))
        replace_constant(kernel.constant, store_affine(kernel, stored))


def _added_behind(operation: Any, bias: np.ndarray) -> np.ndarray:
    """What an `add` behind an operation adds to its channels, where the bias of the TFLite operation holds that as well; else zeros.

    Conv1D, whose extra axis goes before its bias comes, is such an operation. Rounding changes a bias little, so the bias holds what is
    added behind where it is nearer to the operation's own with it taken off.
    """
    own = operation.inputs.get("bias")
    rest = bias - (0 if own is None or own.shape != bias.shape else own.val.astype(np.float32))
    result = operation.outputs[0]
    while len(result.child_ops) == 1:
        (following,) = result.child_ops
        if following.op_type == "add":
            constants = [var.val for var in (following.x, following.y) if var.val is not None and np.size(var.val) == bias.size]
            added = np.ravel(constants[0]).astype(np.float32) if constants else np.zeros_like(bias)
            return added if np.square(rest - added).sum() < np.square(rest).sum() else np.zeros_like(bias)
        if following.op_type not in MIL_SAME_AXES:
            break
        result = following.outputs[0]
    return np.zeros_like(bias)


def _same_sums(codes: np.ndarray, scale: np.ndarray, reach: float, result: Affine | None) -> bool:
    """Whether float16 holds a kernel's scales, or what they are off by moves no sum by more than a sixteenth of the result's step.

    Args:
        codes: [channels, …].
        scale: [channels].
        reach: largest size of what the kernel is multiplied with.
        result: of the operation, where it has a fixed range.
    """
    held = is_float16(scale)
    if held.all() or result is None or not np.isfinite(reach):
        return bool(held.all())
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(scale.astype(np.float16).astype(np.float32) - scale) * np.abs(codes.reshape(len(codes), -1)).sum(
            axis=1, dtype=float
        )
        return bool((held | (off * reach <= float(result.scale[0]) / 16)).all())


def _same_kernel(kernel: Kernel, operations: Mapping[str, OperationParameters]) -> tuple[str, np.ndarray] | None:
    """The name of the operation whose codes stand for this kernel, and the codes in the kernel's layout."""
    values = kernel.values.astype(np.float32)
    channels = values.shape[kernel.output_axis]
    shape = [-1 if axis == kernel.output_axis else 1 for axis in range(values.ndim)]
    best, least = None, 1.0  # in steps: rounded weights are off by a quarter of one on average, others by many
    for name, operation in operations.items():
        affine = operation.constants.get(1)
        if affine is None or operation.weights is None or len(affine.scale) not in (1, channels):
            continue
        scale = affine.scale.reshape(shape) if len(affine.scale) > 1 else affine.scale
        for codes in weight_orders(operation.weights, values.shape):
            off = float(np.mean(np.abs(codes * scale - values)) / max(float(scale.mean()), np.finfo(np.float32).tiny))
            if off < least:
                best, least = (name, np.ascontiguousarray(codes)), off
    return best
