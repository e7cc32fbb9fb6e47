"""Learned: the int8 parameters that quantization-aware training found, brought to the tensors of the TFLite model.

The trained model names the output of each of its layers; the converter fuses, folds and renames. So tensors are recognized by their
values: both models compute the same images, and a tensor is the layer output whose values it has.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecls.errors import ConversionError
from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.accumulators import widen_outputs
from edgecls.quantization.additions import SAME_PARAMETERS, Additions
from edgecls.quantization.float16_scales import round_to_float16
from edgecls.quantization.float_layers import never_int8
from edgecls.quantization.int8 import Quantized, representable
from edgecls.quantization.ranges import Range
from edgecls.quantization.reduced import reduce_tflite
from edgecls.quantization.scales import float16_range
from edgecls.quantization.small_channels import raise_small_channels
from edgecls.system.extras import quiet_frameworks

# Two float32 computations of the same values differ by rounding that deep networks amplify; tensors that are not the same differ by
# tenths. Where a tensor's name tells of the layer, more is allowed: random networks of eighty layers make one per cent of it.
TOLERANCE = 1e-3
TOLERANCE_BY_NAME = 0.1
_FIXED = {
    "LOGISTIC": Range(0.0, 1.0),
    "SOFTMAX": Range(0.0, 1.0),
    "TANH": Range(-1.0, 1.0),
}  # their kernels prescribe the parameters
_JOINING = "CONCATENATION"  # gives its parts its own parameters


@dataclass(frozen=True)
class LearnedRanges:
    """What quantization-aware training learned about one model.

    Attributes:
        ranges: lowest and highest value of each int8 tensor, by the name of the layer that makes it.
        inputs: model inputs [n, *input_shape], float32.
        values: what each of those layers, and of the float ones, computes on them [n, ...].
        float_layers: layers that were trained in float.
        per_channel: whether a kernel was rounded with a scale for each output channel, or with one.
        foreign: whether another tool trained: some tensors may have no range then, and sums have scales at which engines part.
    """

    ranges: Mapping[str, tuple[float, float]]
    inputs: np.ndarray
    values: Mapping[str, np.ndarray]
    float_layers: Collection[str] = ()
    per_channel: bool = True
    foreign: bool = False


class UnlearnedError(ConversionError):
    """Tensors that training by another tool left without a range."""


def quantize_learned(graph: TFLiteGraph, learned: LearnedRanges, *, float_layers: Collection[str] = ()) -> Quantized:
    """Quantize with the parameters that training learned; no calibration, no correction.

    Training rounds with scales that float16 holds; what is done here about scales and biases finds them again.

    Args:
        graph: of the float32 TFLite model with a signature.
        float_layers: names of the output tensors of operations that stay float.

    Raises:
        UnlearnedError, ConversionError: tensors that no learned range belongs to; the error names them.
    """
    matched = match_ranges(graph, learned)
    ranges = {tensor: float16_range(value) for tensor, value in matched.ranges.items()}
    if learned.foreign:
        ranges = Additions(graph).settle(ranges)
    float_layers = {*float_layers, *matched.float_tensors}

    def make(floats: Collection[str], border: Literal["float32", "int8"] = "float32") -> bytes:
        model, wide = graph.copy(), widen_outputs(graph, ranges, floats)
        raise_small_channels(model, wide, floats)
        if learned.per_channel:
            round_to_float16(model, floats)
        return reduce_tflite(model, "int8", wide, border, floats, per_channel=learned.per_channel)

    return Quantized(
        model=make(float_layers),
        way=None,
        losses={},
        images=0,
        judges=0,
        float_layers=float_layers,
        remake=make,
        with_int8_border=lambda floats: make(floats, "int8"),
    )


@dataclass(frozen=True)
class Matched:
    """What training learned, by the names of a TFLite model's tensors.

    Attributes:
        float_tensors: what the operations that were trained in float make.
    """

    ranges: dict[str, Range]
    float_tensors: frozenset[str]


def match_ranges(graph: TFLiteGraph, learned: LearnedRanges) -> Matched:
    """The learned range of every activation of a float TFLite model.

    Raises:
        UnlearnedError, ConversionError: tensors without one.
    """
    tensors = _Tensors(graph)
    seen = tensors.run(learned.inputs)
    known = {name: np.ravel(value) for name, value in learned.values.items()}
    layers = _recognized(seen, known)
    # A layer that multiplies by one is gone from the file: its tensor is that of the float layer before it, and has its range.
    rounded = _recognized(seen, {name: values for name, values in known.items() if name in learned.ranges})
    found = {tensor: representable(Range(*learned.ranges[layer])) for tensor, layer in rounded.items()}
    floats = tensors.made_by(layers, learned.float_layers)
    tensors.derive(found)
    inside = never_int8(graph) | floats  # between float operations nothing is rounded; a range behind the last was trained
    missing = [tensor for tensor in seen if tensor not in found and tensor not in inside]
    if missing:
        expected, lacking = (
            "a learned range for every tensor",
            f"none for {len(missing)} of {len(seen)}: {', '.join(missing)}"[:400],
        )
        if learned.foreign:
            raise UnlearnedError(expected, lacking, "let images give the ranges: --calibration PATH")
        raise ConversionError(expected, lacking, "report this with the model: its int8 file would not hold what training learned")
    return Matched(found, floats)


def _recognized(seen: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Tensor -> the layer whose output it is, where one is."""
    return {tensor: layer for tensor, values in seen.items() if (layer := _recognize(tensor, values, known)) is not None}


def _recognize(tensor: str, values: np.ndarray, known: Mapping[str, np.ndarray]) -> str | None:
    """The layer whose output a tensor is. Of several with the same values, one that the tensor's name tells of."""
    parts = set(re.split(r"[/;]", tensor))
    matches = []
    for layer, expected in known.items():
        if expected.size == values.size:
            largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
            difference = float(np.abs(values - expected).max()) / largest
            named = layer.partition(":")[0] in parts
            if difference <= (TOLERANCE_BY_NAME if named else TOLERANCE):
                matches.append((not named, difference, layer))
    return min(matches)[2] if matches else None


class _Tensors:
    """The float activations of a TFLite model."""

    def __init__(self, graph: TFLiteGraph) -> None:
        names = graph.names
        produced = [*graph.inputs, *(output for operation in graph.operations for output in operation.outputs)]
        self._model = graph.file
        self._names = {tensor: names[tensor] for tensor in produced if graph.is_float(tensor)}
        self._takers: dict[str, set[str]] = {}  # tensor -> those made of it
        for operation in graph.operations:
            for source in operation.inputs:
                self._takers.setdefault(names[source], set()).update(names[output] for output in operation.outputs)
        self._made = [names[output] for operation in graph.operations for output in operation.outputs]
        self._operators = [
            (operation.kind, [names[tensor] for tensor in operation.operands if tensor >= 0], names[operation.output])
            for operation in graph.operations
            if operation.operands
        ]

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """All values of each tensor, flat, image after image."""
        from ai_edge_litert.interpreter import Interpreter

        with quiet_frameworks(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that keeping all tensors takes memory
            interpreter = Interpreter(model_content=self._model, experimental_preserve_all_tensors=True)
            interpreter.allocate_tensors()
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self._names.values()}
        for image in inputs:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
            interpreter.invoke()
            for index, name in self._names.items():
                parts[name].append(interpreter.get_tensor(index).ravel().copy())
        return {name: np.concatenate(values) for name, values in parts.items()}

    def made_by(self, layers: Mapping[str, str], wanted: Collection[str]) -> frozenset[str]:
        """The tensors that are part of some layers: their outputs, and what leads to these alone.

        Args:
            layers: tensor -> the layer whose output it is.
        """
        parts: dict[str, set[str]] = {}
        for tensor in reversed(self._made):  # those it leads to are known by then, but for another of the same name
            further = set().union(*(parts.get(taker, ()) for taker in self._takers.get(tensor, ())))
            parts[tensor] = {layers[tensor]} if tensor in layers else further
        return frozenset(tensor for tensor, owners in parts.items() if owners and owners <= {*wanted})

    def derive(self, ranges: dict[str, Range]) -> None:
        """Fill in tensors whose parameters their operation prescribes or takes from its neighbour."""
        for kind, before, after in self._operators:
            if kind in _FIXED:
                ranges.setdefault(after, _FIXED[kind])
            elif kind in SAME_PARAMETERS and before[0] in ranges:
                ranges.setdefault(after, ranges[before[0]])
        for kind, before, after in reversed(self._operators):
            if after in ranges:
                for part in before if kind == _JOINING else before[:1] if kind in SAME_PARAMETERS else ():
                    ranges.setdefault(part, ranges[after])
