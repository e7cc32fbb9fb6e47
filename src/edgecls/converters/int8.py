"""int8: finds the one set of parameters that TFLite, ONNX and Core ML carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecls.converters.calibration import collect_histograms
from edgecls.converters.onnx import INPUT, OUTPUT
from edgecls.converters.ranges import ESTIMATORS, Estimator, Histogram, Range, estimate_ranges
from edgecls.converters.tflite import reduce_tflite

if TYPE_CHECKING:
    import onnx

TRIAL_IMAGES = 64  # calibration images on which the estimators compete


@dataclass(frozen=True)
class Quantized:
    """The chosen int8 TFLite model.

    Attributes:
        model: TFLite bytes, float32 or int8 at the border as asked.
        estimator: the range estimator that made it.
        losses: what each estimator tried lost against the float model on the calibration images (see `score_loss`).
        images: number of calibration images seen.
    """

    model: bytes
    estimator: Estimator
    losses: dict[str, float]
    images: int


def quantize(
    float_model: bytes,
    onnx_model: onnx.ModelProto,
    batches: Callable[[], Iterable[np.ndarray]],
    *,
    estimator: Estimator | None,
    io: Literal["float32", "int8"],
    threads: int,
) -> Quantized:
    """Calibrate in one streamed pass and quantize; without an `estimator` keep the one that loses least.

    Args:
        float_model: float32 TFLite model with a signature.
        onnx_model: the same model from `float_onnx`: it runs the calibration.
        batches: opens the calibration images anew: model inputs [n, *input_shape], float32.
        estimator: `minmax`, `percentile`, `mse` or None.
        io: dtype at the model's border.
        threads: cores to use.
    """
    tensors = _tensor_names(float_model)
    counter = _Counter()
    histograms = collect_histograms(onnx_model, list(tensors.values()), counter.count(batches()), threads)
    by_tflite_name = {name: histograms[value] for name, value in tensors.items() if value in histograms}
    candidates: Sequence[Estimator] = (estimator,) if estimator else ESTIMATORS
    made = {name: _reduce(float_model, by_tflite_name, name, io) for name in candidates}
    if len(made) == 1:
        return Quantized(made[candidates[0]], candidates[0], {}, counter.images)
    trial = _first(batches(), TRIAL_IMAGES)
    reference = _run_tflite(float_model, trial, threads)
    losses = {name: score_loss(reference, _run_tflite(model, trial, threads)) for name, model in made.items()}
    best = min(candidates, key=lambda name: losses[name])
    return Quantized(made[best], best, losses, counter.images)


def score_loss(reference: np.ndarray, scores: np.ndarray) -> float:
    """Share of the reference scores' energy that is error: sum (s - r)² / sum r².

    Scores are centred per image: an offset common to all classes changes no decision.
    """
    reference, scores = (values - values.mean(axis=1, keepdims=True) * (values.shape[1] > 1) for values in (reference, scores))
    return float(np.sum((scores - reference) ** 2) / max(float(np.sum(reference**2)), np.finfo(np.float32).tiny))


def _reduce(model: bytes, histograms: dict[str, Histogram], estimator: Estimator, io: Literal["float32", "int8"]) -> bytes:
    ranges = {name: _representable(value) for name, value in estimate_ranges(histograms, estimator).items()}
    return reduce_tflite(model, "int8", ranges, io)


def _representable(value: Range) -> Range:
    """A range that contains zero and is not a point: int8 needs both."""
    low, high = min(value.low, 0.0), max(value.high, 0.0)
    return Range(low, high if high > low else low + 1e-6)


def _tensor_names(model: bytes) -> dict[str, str]:
    """The float tensors that are not constants, mapped to their name in the ONNX model."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(model, 0).subgraphs[0]  # type: ignore[index]
    names = {}
    for index in (*graph.inputs, *(output for operator in graph.operators for output in operator.outputs)):
        tensor = graph.tensors[index]
        if tensor.type == schema.TensorType.FLOAT32:
            names[tensor.name.decode()] = tensor.name.decode()
    names[graph.tensors[graph.inputs[0]].name.decode()] = INPUT
    names[graph.tensors[graph.outputs[0]].name.decode()] = OUTPUT
    return names


def _first(batches: Iterable[np.ndarray], count: int) -> np.ndarray:
    parts, have = [], 0
    for batch in batches:
        parts.append(batch[: count - have])
        have += len(parts[-1])
        if have >= count:
            break
    return np.concatenate(parts)


def _run_tflite(model: bytes, inputs: np.ndarray, threads: int) -> np.ndarray:
    """Scores [n, outputs], float32."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scores = []
    for image in inputs:
        interpreter.set_tensor(source["index"], _encode(image[None], source))
        interpreter.invoke()
        scores.append(_decode(interpreter.get_tensor(target["index"]), target).ravel())
    return np.stack(scores)


def _encode(values: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if detail["dtype"] == np.float32:
        return values
    return np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8)


def _decode(values: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    return values if detail["dtype"] == np.float32 else (values.astype(np.float32) - zero_point) * scale


class _Counter:
    """Counts the images that stream through."""

    def __init__(self) -> None:
        self.images = 0

    def count(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            self.images += len(batch)
            yield batch
