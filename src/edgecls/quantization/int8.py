"""int8: finds the one set of parameters that TFLite, ONNX and Core ML carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecls.formats.onnx.names import AS_MATRIX, INPUT, OUTPUT
from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.additions import Additions
from edgecls.quantization.bias_correction import bias_shifts, shift_biases, weighted_inputs
from edgecls.quantization.calibration import collect_from_tflite, collect_statistics
from edgecls.quantization.float16_scales import round_to_float16
from edgecls.quantization.ranges import ESTIMATORS, Estimator, Range, ValueHistogram, estimate_ranges
from edgecls.quantization.reduced import reduce_tflite
from edgecls.quantization.scales import float16_range
from edgecls.quantization.small_channels import raise_small_channels
from edgecls.records.counted import counted
from edgecls.system.extras import quiet_frameworks

if TYPE_CHECKING:
    import onnx

# The attempts compete on the first calibration images: as many as make so many values in the network, so that small networks, whose
# losses lie close together, are judged on hundreds and large ones do not take long. A count, not a time: the choice must repeat.
TRIAL_VALUES = 2**26
TRIAL_IMAGES = (32, 512)  # at least and at most


@dataclass(frozen=True)
class Quantized:
    """The chosen int8 TFLite model.

    Attributes:
        model: TFLite bytes, float32 at the border: what it rounds, every format rounds.
        estimator: the range estimator that made it; `learned` where quantization-aware training did.
        bias_corrected: whether biases took back the mean error of rounded weights.
        losses: what each attempt lost against the float model on the calibration images (see `score_loss`), the mean of its heads.
        images: number of calibration images seen.
        float_layers: names of the output tensors of operations that stayed float.
        remake: the same model with other operations left float, by the names of their output tensors.
        with_int8_border: the same, with int8 at the border.
        loss: what any model with float32 at the border loses on the first calibration images; infinite where there are none.
        remark: what else is to be told of where the ranges come from.
    """

    model: bytes
    estimator: Estimator | Literal["learned"]
    bias_corrected: bool
    losses: dict[str, float]
    images: int
    float_layers: Collection[str]
    remake: Callable[[Collection[str]], bytes]
    with_int8_border: Callable[[Collection[str]], bytes]
    loss: Callable[[bytes], float] = lambda model: np.inf
    remark: str = ""

    @property
    def origin(self) -> str:
        """Where the ranges come from, in one sentence."""
        if self.estimator == "learned":
            return "int8 ranges and weights as quantization-aware training learned them"
        losses = ", ".join(f"{name} {loss:.3%}" for name, loss in self.losses.items())
        return (
            f"int8 ranges from {counted(self.images, 'calibration image')} by {self.estimator}; "
            f"error energy of the scores by estimator: {losses}{self.remark}"
        )


def quantize(
    graph: TFLiteGraph,
    onnx_model: onnx.ModelProto,
    batches: Callable[[], Iterable[np.ndarray]],
    *,
    estimator: Estimator | None,
    threads: int,
    float_layers: Collection[str] = (),
) -> Quantized:
    """Calibrate in one streamed pass and quantize, keeping of all attempts the one that loses least.

    Args:
        graph: of the float32 TFLite model with a signature.
        onnx_model: the same model from `float_onnx`: it runs the calibration.
        batches: opens the calibration images anew: model inputs [n, *input_shape], float32.
        estimator: `minmax`, `percentile`, `mse`, or None to try all.
        threads: cores to use.
        float_layers: names of the output tensors of operations that stay float.
    """
    tensors, additions = Tensors(graph), Additions(graph)
    reads, values = weighted_inputs(onnx_model), tensors.values_in(onnx_model)
    seen = collect_statistics(onnx_model, list(values.values()), list(reads.values()), batches(), threads)
    histograms = tensors.complete({name: seen.histograms[value] for name, value in values.items()})
    missing = [name for name in tensors.onnx_names if name not in histograms]
    if missing:
        histograms |= collect_from_tflite(graph.file, missing, batches(), threads)
    shifts = bias_shifts(onnx_model, seen.means)
    trial = _first(batches(), int(np.clip(TRIAL_VALUES // tensors.values_per_image, *TRIAL_IMAGES)))
    reference = _run_tflite(graph.file, trial, threads)

    def make(name: Estimator, corrected: bool, floats: Collection[str], border: Literal["float32", "int8"] = "float32") -> bytes:
        kept = {layer: shift for layer, shift in shifts.items() if layer not in floats}  # float weights lose nothing to take back
        ranges = {tensor: float16_range(representable(value)) for tensor, value in estimate_ranges(histograms, name).items()}
        ranges = additions.settle(ranges)
        model = graph.copy()
        if corrected:
            shift_biases(model, kept)
        raise_small_channels(model, ranges, floats)
        round_to_float16(model, floats)
        return reduce_tflite(model, "int8", ranges, border, floats)

    def loss(model: bytes) -> float:
        heads = zip(reference, _run_tflite(model, trial, threads), strict=True)
        return float(np.mean([score_loss(asked, found) for asked, found in heads]))

    def attempt(name: Estimator, corrected: bool) -> tuple[float, bytes]:
        quantized = make(name, corrected, float_layers)
        return loss(quantized), quantized

    candidates: Sequence[Estimator] = (estimator,) if estimator else ESTIMATORS
    attempts = {name: attempt(name, True) for name in candidates}
    best = min(candidates, key=lambda name: attempts[name][0])
    losses: dict[str, float] = {name: lost for name, (lost, _) in attempts.items()}
    plain_loss, plain = attempt(best, False)
    keep_plain = plain_loss < losses[best]
    return Quantized(
        model=plain if keep_plain else attempts[best][1],
        estimator=best,
        bias_corrected=not keep_plain,
        losses={**losses, f"{best} without bias correction": plain_loss},
        images=seen.images,
        float_layers=float_layers,
        remake=lambda floats: make(best, not keep_plain, floats),
        with_int8_border=lambda floats: make(best, not keep_plain, floats, "int8"),
        loss=loss,
    )


def score_loss(reference: np.ndarray, scores: np.ndarray) -> float:
    """Share of the reference scores' energy that is error: sum (s - r)² / sum r².

    Scores are centred per image: an offset common to all classes changes no decision.
    """
    reference, scores = (values - values.mean(axis=1, keepdims=True) * (values.shape[1] > 1) for values in (reference, scores))
    return float(np.sum((scores - reference) ** 2) / max(float(np.sum(reference**2)), np.finfo(np.float32).tiny))


def representable(value: Range) -> Range:
    """A range that contains zero and is not a point: int8 needs both."""
    low, high = min(value.low, 0.0), max(value.high, 0.0)
    return Range(low, high if high > low else low + 1e-6)


class Tensors:
    """The activations of a float TFLite model by name.

    Attributes:
        onnx_names: TFLite name -> name in the ONNX model made from it.
        values_per_image: how many values all of them hold together.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        names = graph.names
        produced = [*graph.inputs, *(output for operation in graph.operations for output in operation.outputs)]
        self.onnx_names = {names[tensor]: names[tensor] for tensor in produced if graph.is_float(tensor)}
        self.onnx_names |= {names[graph.inputs[0]]: INPUT, names[graph.outputs[0]]: OUTPUT}
        self.values_per_image = sum(int(np.prod(graph.shape(tensor))) for tensor in produced)
        self._moves = [
            (names[operation.operand(0)], names[operation.output])
            for operation in graph.operations
            if operation.kind in SAME_VALUES
        ]

    def values_in(self, model: onnx.ModelProto) -> dict[str, str]:
        """The value of an ONNX model that each tensor is, of those that it has; a matrix where it does without the tensor's own axes."""
        made = {INPUT, *(name for node in model.graph.node for name in node.output)}
        matrices = {name: f"{value}{AS_MATRIX}" for name, value in self.onnx_names.items()}
        found = {name: value if value in made else matrices[name] for name, value in self.onnx_names.items()}
        return {name: value for name, value in found.items() if value in made}

    def complete(self, histograms: dict[str, ValueHistogram]) -> dict[str, ValueHistogram]:
        """Fill in tensors that ONNX does not have (a reshape it could do without) from the one they take their values from."""
        complete = dict(histograms)
        for before, after in self._moves:
            if after not in complete and before in complete:
                complete[after] = complete[before]
        for before, after in reversed(self._moves):
            if before not in complete and after in complete:
                complete[before] = complete[after]
        return complete


def _first(batches: Iterable[np.ndarray], count: int) -> np.ndarray:
    parts, have = [], 0
    for batch in batches:
        parts.append(batch[: count - have])
        have += len(parts[-1])
        if have >= count:
            break
    return np.concatenate(parts)


def _run_tflite(model: bytes, inputs: np.ndarray, threads: int) -> list[np.ndarray]:
    """Scores of each head [n, outputs], float32."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_frameworks():
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    source, targets = interpreter.get_input_details()[0], interpreter.get_output_details()
    scores = []
    for image in inputs:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        scores.append([interpreter.get_tensor(target["index"]).ravel() for target in targets])
    return [np.stack(head) for head in zip(*scores, strict=True)]
