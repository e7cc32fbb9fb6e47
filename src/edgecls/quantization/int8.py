"""int8: finds the one set of parameters that TFLite, ONNX and Core ML carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgecls.formats.onnx.names import AS_MATRIX, INPUT, OUTPUT
from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.additions import Additions
from edgecls.quantization.bias_correction import bias_shifts, shift_biases
from edgecls.quantization.calibration import Statistics, collect_from_tflite, collect_statistics
from edgecls.quantization.choosing import FEWEST, Measured, is_better, measure
from edgecls.quantization.clips import clipped_ranges, keep_clips
from edgecls.quantization.float16_scales import round_to_float16
from edgecls.quantization.logits import Logits
from edgecls.quantization.ranges import ESTIMATORS, Effort, Estimator, Range, ValueHistogram, estimate_ranges
from edgecls.quantization.reduced import reduce_tflite
from edgecls.quantization.rounding import MOST_WEIGHTS, round_layers, set_kernels
from edgecls.quantization.scales import float16_range
from edgecls.quantization.small_channels import raise_small_channels
from edgecls.quantization.weighted_layers import WeightedLayer, weighted_layers
from edgecls.records.counted import counted
from edgecls.system.extras import quiet_frameworks

if TYPE_CHECKING:
    import onnx

# The attempts compete on as many images as make so many values in the network, so that small networks, whose losses lie close together,
# are judged on hundreds and large ones do not take long. A count, not a time: the choice must repeat.
JUDGED_VALUES = 2**26
JUDGED_IMAGES = (32, 512)  # at least and at most
GROUP = 4  # images that make the attempts, or judge them, together: larger ones run no faster
ESTIMATED: tuple[Estimator, ...] = ("percentile", "mse")  # what challenges the range from the lowest to the highest value


@dataclass(frozen=True)
class Quantized:
    """The chosen int8 TFLite model.

    Attributes:
        model: TFLite bytes, float32 at the border: what it rounds, every format rounds.
        way: how it was made; None where quantization-aware training learned the parameters.
        losses: share of the scores' energy that each attempt lost against the float model on the images that judged, the mean of its heads.
        images: number of calibration images seen.
        judges: how many of them judged the attempts; 0 where there were too few to judge any.
        float_layers: names of the output tensors of operations that stayed float.
        remake: the same model with other operations left float, by the names of their output tensors.
        with_int8_border: the same, with int8 at the border.
        loss: what any model with float32 at the border loses on the calibration images; infinite where there are none.
        remark: what else is to be told of where the ranges come from.
    """

    model: bytes
    way: Way | None
    losses: dict[str, float]
    images: int
    judges: int
    float_layers: Collection[str]
    remake: Callable[[Collection[str]], bytes]
    with_int8_border: Callable[[Collection[str]], bytes]
    loss: Callable[[bytes], float] = lambda model: np.inf
    remark: str = ""

    @property
    def estimator(self) -> Estimator | Literal["learned"]:
        """The range estimator that made it; `learned` where quantization-aware training did."""
        return self.way.estimator if self.way else "learned"

    @property
    def origin(self) -> str:
        """Where the ranges and the weights come from, in one sentence."""
        if self.way is None:
            return "int8 ranges and weights as quantization-aware training learned them"
        losses = ", ".join(f"{name} {loss:.3%}" for name, loss in self.losses.items())
        judged = (
            f"error energy of the scores on {self.judges} of them that judged" if self.judges else "too few to judge others by"
        )
        return f"int8 ranges from {counted(self.images, 'calibration image')} by {self.way}; {judged}: {losses}{self.remark}"


def quantize(
    graph: TFLiteGraph,
    onnx_model: onnx.ModelProto,
    batches: Callable[[], Iterable[np.ndarray]],
    *,
    estimator: Estimator | None,
    threads: int,
    float_layers: Collection[str] = (),
    effort: Effort = "normal",
) -> Quantized:
    """Calibrate and quantize. Two of three images make the attempts; the third judges them, and the ranges of the best come from all.

    Args:
        graph: of the float32 TFLite model with a signature.
        onnx_model: the same model from `float_onnx`: it runs the calibration.
        batches: opens the calibration images anew: model inputs [n, *input_shape], float32.
        estimator: `minmax`, `percentile`, `mse`, or None to try all.
        threads: cores to use.
        float_layers: names of the output tensors of operations that stay float.
        effort: with `high` every estimator is tried with weights rounded by data, and those of wide layers are too.
    """
    maker = Maker(graph, onnx_model, batches, threads, effort)
    judges = partial(_shared_out, batches, judging=True) if maker.judging_images >= FEWEST else batches
    most = int(np.clip(JUDGED_VALUES // maker.tensors.values_per_image, *JUDGED_IMAGES))
    judge = Judge(graph.file, lambda: _first(judges(), most), threads)
    whole = Judge(graph.file, lambda: _first(batches(), most), threads)
    tried: dict[Way, Measured] = {}

    def better(best: Way, *challengers: Way, expected: bool = False) -> Way:
        for way in (best, *challengers):
            if way not in tried:
                tried[way] = judge.measure(maker.make(way, float_layers, tried_out=True))
        ahead = [way for way in challengers if is_better(tried[way], tried[best], expected=expected)]
        return min(ahead, key=lambda way: float(tried[way].logits.mean()), default=best)

    best = Way(estimator or "minmax")
    best = better(best, *(replace(best, estimator=name) for name in ESTIMATED if estimator is None))
    if maker.rounded:  # its layers lose less by construction
        best = better(best, replace(best, rounding="by data"), expected=True)
        if effort == "high" and estimator is None:
            best = better(best, *(replace(best, estimator=name) for name in ESTIMATORS if name != best.estimator))
    if best.rounding == "nearest":  # what data rounds leaves the mean error to the bias
        best = better(best, replace(best, bias_corrected=False))
    return Quantized(
        model=maker.make(best, float_layers),
        way=best,
        losses={str(way): found.loss for way, found in tried.items()},
        images=maker.images,
        judges=len(judge.images) if maker.judging_images >= FEWEST else 0,
        float_layers=float_layers,
        remake=lambda floats: maker.make(best, floats),
        with_int8_border=lambda floats: maker.make(best, floats, "int8"),
        loss=lambda model: whole.measure(model).loss,
    )


@dataclass(frozen=True)
class Way:
    """One way of quantizing.

    Attributes:
        estimator: of the activations' ranges.
        rounding: of weights: to the nearest code, or `by data` (see `rounding`).
        bias_corrected: whether biases take back the mean error of rounded weights.
    """

    estimator: Estimator
    rounding: Literal["nearest", "by data"] = "nearest"
    bias_corrected: bool = True

    def __str__(self) -> str:
        rounding = "" if self.rounding == "nearest" else " with weights rounded by data"
        return f"{self.estimator}{rounding}{'' if self.bias_corrected else ' without bias correction'}"


class Judge:
    """Measures models against the float model on the same images, which are read when the first is measured.

    Args:
        reference: the float32 TFLite model.
        images: gives model inputs [n, *input_shape], float32.
    """

    def __init__(self, reference: bytes, images: Callable[[], np.ndarray], threads: int) -> None:
        self._reference, self._images, self._threads = reference, images, threads

    @cached_property
    def images(self) -> np.ndarray:
        return self._images()

    @cached_property
    def _asked(self) -> list[np.ndarray]:
        return _run_tflite(self._reference, self.images, self._threads)

    def measure(self, model: bytes) -> Measured:
        """How a model with float32 at the border answers."""
        return measure(self._asked, _run_tflite(model, self.images, self._threads))


class Maker:
    """Makes the int8 TFLite model of each way of quantizing.

    Attributes:
        tensors: of the float model.
        images, judging_images: number of calibration images, and of those that only judge.
        rounded: weights of layers rounded by data, by the layer's name.
    """

    def __init__(
        self,
        graph: TFLiteGraph,
        onnx_model: onnx.ModelProto,
        batches: Callable[[], Iterable[np.ndarray]],
        threads: int,
        effort: Effort = "normal",
    ) -> None:
        self._graph, self._threads = graph, threads
        self.tensors, self._additions = Tensors(graph), Additions(graph)
        self._clips, self._logits = clipped_ranges(graph), Logits(graph)
        self._layers, self._model = weighted_layers(onnx_model), onnx_model
        sampled = [layer for layer in self._layers if layer.weights[0].size <= MOST_WEIGHTS[effort]]
        self._making = self._see(partial(_shared_out, batches, judging=False), sampled)
        judging = self._see(partial(_shared_out, batches, judging=True), ())
        self._all = self._making.joined(judging)
        self.images, self.judging_images = self._all.images, judging.images
        self.rounded: Mapping[str, np.ndarray] = {}
        if self.judging_images >= FEWEST:
            self.rounded = round_layers(graph, self._layers, self._making.moments, MOST_WEIGHTS[effort])

    def make(
        self, way: Way, floats: Collection[str], border: Literal["float32", "int8"] = "float32", *, tried_out: bool = False
    ) -> bytes:
        """The model.

        Args:
            floats: names of the output tensors of operations that stay float.
            tried_out: with the ranges of the images that do not judge.
        """
        seen = self._making if tried_out else self._all
        estimated = keep_clips(estimate_ranges(seen.histograms, way.estimator), self._clips, seen.histograms)
        estimated = self._logits.settle(estimated, seen.histograms, seen.winners)
        ranges = self._additions.settle({name: float16_range(representable(value)) for name, value in estimated.items()})
        rounded = self.rounded if way.rounding == "by data" else {}
        model = self._graph.copy()
        if way.bias_corrected:
            shifts = bias_shifts(self._layers, seen.means, rounded)
            shift_biases(model, {layer: shift for layer, shift in shifts.items() if layer not in floats})  # those lose nothing
        raise_small_channels(model, ranges, floats)
        set_kernels(model, self._graph, rounded, floats)
        round_to_float16(model, floats)
        return reduce_tflite(model, "int8", ranges, border, floats)

    def _see(self, batches: Callable[[], Iterable[np.ndarray]], layers: Sequence[WeightedLayer]) -> Statistics:
        """Statistics whose histograms and winners have the names of TFLite."""
        values = self.tensors.values_in(self._model)
        sources = [layer.source for layer in self._layers]
        logits = {name: values[name] for names in self._logits.groups for name in names if name in values}
        wanted: dict[str, Any] = {"layers": layers, "logits": list(dict.fromkeys(logits.values()))}
        seen = collect_statistics(self._model, list(values.values()), sources, batches(), self._threads, **wanted)
        winners = {name: seen.winners[value] for name, value in logits.items() if value in seen.winners}
        histograms = self.tensors.complete({name: seen.histograms[value] for name, value in values.items()})
        missing = [name for name in self.tensors.onnx_names if name not in histograms]
        if missing:
            histograms |= collect_from_tflite(self._graph.file, missing, batches(), self._threads)
        return replace(seen, histograms=histograms, winners=winners)


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


def _shared_out(batches: Callable[[], Iterable[np.ndarray]], *, judging: bool) -> Iterator[np.ndarray]:
    """Every third group of GROUP images, which judges, or the others."""
    groups = (batch[start : start + GROUP] for batch in batches() for start in range(0, len(batch), GROUP))
    return (group for place, group in enumerate(groups) if (place % 3 == 2) == judging)


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
