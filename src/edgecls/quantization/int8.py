"""int8: finds the one set of parameters that TFLite, ONNX and Core ML carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.accumulators import widen_outputs
from edgecls.quantization.additions import Additions
from edgecls.quantization.bias_correction import bias_shifts, shift_biases
from edgecls.quantization.choosing import FEWEST, Measured, is_better, measure
from edgecls.quantization.clips import clipped_ranges, keep_clips
from edgecls.quantization.equalization import Factors
from edgecls.quantization.float16_scales import round_to_float16
from edgecls.quantization.logits import Logits
from edgecls.quantization.material import Material, first_batches, gather
from edgecls.quantization.ranges import Effort, Range, estimate_ranges
from edgecls.quantization.reduced import reduce_tflite
from edgecls.quantization.rounding import MOST_WEIGHTS, set_kernels
from edgecls.quantization.scales import POINT_WIDTH, float16_range
from edgecls.quantization.small_channels import raise_small_channels
from edgecls.quantization.tensors import Tensors
from edgecls.records.artifact import ESTIMATORS, Estimator
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
        factors: what channels of the float model were multiplied by before (see `equalization`).
        as_given: the same model of the float model as it was given.
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
    factors: Factors = field(default_factory=dict)
    as_given: Callable[[Collection[str]], bytes] | None = None

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
    making, judging = (partial(_shared_out, batches, judging=judging) for judging in (False, True))
    maker = Maker(graph, gather(graph, onnx_model, making, judging, threads, MOST_WEIGHTS[effort]))
    given = maker.of(Way("minmax"))
    judges = judging if given.judging_images >= FEWEST else batches
    most = int(np.clip(JUDGED_VALUES // Tensors(graph).values_per_image, *JUDGED_IMAGES))
    contest = _Contest(maker, Judge(graph.file, lambda: _first(judges(), most), threads), float_layers)
    whole = Judge(graph.file, lambda: _first(batches(), most), threads)
    best = contest.best(estimator, effort)
    return Quantized(
        model=maker.make(best, float_layers),
        way=best,
        losses={str(way): found.loss for way, found in contest.tried.items()},
        images=given.all.images,
        judges=len(contest.judge.images) if given.judging_images >= FEWEST else 0,
        float_layers=float_layers,
        remake=lambda floats: maker.make(best, floats),
        with_int8_border=lambda floats: maker.make(best, floats, "int8"),
        loss=lambda model: whole.measure(model).loss,
        factors=maker.of(best).factors,
        as_given=lambda floats: maker.make(replace(best, equalized=False), floats),
    )


@dataclass(frozen=True)
class Way:
    """One way of quantizing.

    Attributes:
        estimator: of the activations' ranges.
        rounding: of weights: to the nearest code, or `by data` (see `rounding`).
        bias_corrected: whether biases take back the mean error of rounded weights.
        equalized: whether channels of one tensor were brought to one height before (see `equalization`).
    """

    estimator: Estimator
    rounding: Literal["nearest", "by data"] = "nearest"
    bias_corrected: bool = True
    equalized: bool = False

    def __str__(self) -> str:
        changes = {
            "with channels equalized": self.equalized,
            "with weights rounded by data": self.rounding == "by data",
            "without bias correction": not self.bias_corrected,
        }
        return " ".join([self.estimator, *(change for change, made in changes.items() if made)])


class _Contest:
    """Ways of quantizing that compete, on images that the attempts were not made of where there are enough.

    Attributes:
        tried: how each answered.
    """

    def __init__(self, maker: Maker, judge: Judge, float_layers: Collection[str]) -> None:
        self.judge, self.tried = judge, dict[Way, Measured]()
        self._maker, self._make = maker, partial(maker.make, floats=float_layers, tried_out=True)

    def best(self, estimator: Estimator | None, effort: Effort) -> Way:
        """The way that loses least, one choice after another.

        Args:
            estimator: the one that was asked for; None to try all.
        """
        best, several, high = Way(estimator or "minmax"), len(self._maker.material) > 1, effort == "high"
        if several:
            best = self._better(best, replace(best, equalized=True))
        best = self._better(best, *(replace(best, estimator=name) for name in ESTIMATED if estimator is None))
        if self._maker.of(best).rounded:  # its layers lose less by construction
            best = self._better(best, replace(best, rounding="by data"), expected=True)
            if high and estimator is None:
                best = self._better(best, *(replace(best, estimator=name) for name in ESTIMATORS if name != best.estimator))
        if high and several:
            best = self._better(best, replace(best, equalized=not best.equalized))
        if best.rounding == "nearest":  # what data rounds leaves the mean error to the bias
            best = self._better(best, replace(best, bias_corrected=False))
        return best

    def _better(self, best: Way, *challengers: Way, expected: bool = False) -> Way:
        """The challenger that is furthest ahead, or the best so far."""
        for way in (best, *challengers):
            if way not in self.tried:
                self.tried[way] = self.judge.measure(self._make(way))
        ahead = [way for way in challengers if is_better(self.tried[way], self.tried[best], expected=expected)]
        return min(ahead, key=lambda way: float(self.tried[way].logits.mean()), default=best)


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
        material: what they are made of: the float model as it is, and equalized where that changes it.
    """

    def __init__(self, graph: TFLiteGraph, material: Sequence[Material]) -> None:
        self.material = material
        self._additions, self._clips, self._logits = Additions(graph), clipped_ranges(graph), Logits(graph)

    def of(self, way: Way) -> Material:
        """What a way is made of."""
        return self.material[way.equalized]

    def make(
        self, way: Way, floats: Collection[str], border: Literal["float32", "int8"] = "float32", *, tried_out: bool = False
    ) -> bytes:
        """The model.

        Args:
            floats: names of the output tensors of operations that stay float.
            tried_out: with the ranges of the images that do not judge.
        """
        material = self.of(way)
        seen = material.making if tried_out else material.all
        estimated = keep_clips(estimate_ranges(seen.histograms, way.estimator), self._clips, seen.histograms)
        estimated = self._logits.settle(estimated, seen.histograms, seen.winners)
        ranges = {name: float16_range(representable(value)) for name, value in estimated.items()}
        ranges = self._additions.settle(widen_outputs(material.graph, ranges, floats))
        rounded = material.rounded if way.rounding == "by data" else {}
        model = material.graph.copy()
        if way.bias_corrected:
            shifts = bias_shifts(material.layers, seen.means, rounded)
            shift_biases(model, {layer: shift for layer, shift in shifts.items() if layer not in floats})  # those lose nothing
        raise_small_channels(model, ranges, floats)
        set_kernels(model, material.graph, rounded, floats)
        round_to_float16(model, floats)
        return reduce_tflite(model, "int8", ranges, border, floats)


def representable(value: Range) -> Range:
    """A range that contains zero and is not a point: int8 needs both. One that holds nothing but zero becomes POINT_WIDTH wide."""
    low, high = min(value.low, 0.0), max(value.high, 0.0)
    return Range(low, high if high > low else low + POINT_WIDTH)


def _shared_out(batches: Callable[[], Iterable[np.ndarray]], *, judging: bool) -> Iterator[np.ndarray]:
    """Every third group of GROUP images, which judges, or the others."""
    groups = (batch[start : start + GROUP] for batch in batches() for start in range(0, len(batch), GROUP))
    return (group for place, group in enumerate(groups) if (place % 3 == 2) == judging)


def _first(batches: Iterable[np.ndarray], count: int) -> np.ndarray:
    """So many images, or all there are."""
    return np.concatenate([*first_batches(batches, count)])[:count]


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
