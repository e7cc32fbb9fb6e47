"""Sensitivity: how much error each layer of a quantized artifact adds, has accumulated, and why. Streamed: sums and histograms alone stay.

The error of a layer's output has two parts that add up exactly. With x the float inputs and x' the quantized file's, f the float
operation and y' what the quantized file makes:

    y' - f(x)  =  (y' - f(x'))  +  (f(x') - f(x))
    accumulated   the layer's own   passed on from its inputs

f(x') comes from the float file cut open at every tensor and given the quantized file's values: one more float inference for all layers
together. Of the layer's own error, what rounding and clipping f(x') to the output's codes would cause alone is the share of the range;
the rest is that of weights, bias and integer arithmetic.

A tensor's noise is its error energy over its signal energy: of the whole tensor or of its median channel, whichever is more. One loud
channel would otherwise hide that all others drown in the steps of a range stretched for it. Of logits what decides counts alone: int8 files
need not hold the others (see `quantization.logits`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from edgecls.data.multi_hot import decision_of
from edgecls.diagnosis.layer_values import LayerInfo, LayerRunner, Values
from edgecls.evaluation.parity import decide
from edgecls.formats.tflite.graph import SAME_VALUES
from edgecls.quantization.logits import deciding
from edgecls.quantization.ranges import Range, ValueHistogram, middle, sample_places
from edgecls.records.artifact import OutputKind
from edgecls.records.diagnosis import Cause, Decision, LayerDiagnosis, TensorRange, WeightRange

_DECIDING = ("SOFTMAX", "LOGISTIC", "SIGMOID")  # as engines call them, in capitals
USED_SHARE = 0.999  # of the values is what a range should be spent on


@dataclass(frozen=True)
class Extremes:
    """What values layers took on the calibration images.

    Attributes:
        low, high: by layer name.
        spread: how far apart the ranges lie that the middle 99.9 % of the values take on the two halves of the images, relative to the
            wider one, by layer name.
        images: number of images.
    """

    low: dict[str, float]
    high: dict[str, float]
    spread: dict[str, float]
    images: int


@dataclass(frozen=True)
class Sensitivity:
    """All layers, the one that adds most error first, and the scores.

    Attributes:
        snr_db: of the scores; None where there is no error.
        agreement: share of images with the same decision, 0..1.
        decision: what is decided of an image.
    """

    layers: list[LayerDiagnosis]
    images: int
    snr_db: float | None
    agreement: float
    decision: Decision = "winner"


def calibration_extremes(runner: LayerRunner, inputs: Iterable[np.ndarray]) -> Extremes:
    """Run the float model alone over calibration images, model inputs [1, *input_shape]."""
    halves: tuple[dict[str, ValueHistogram], dict[str, ValueHistogram]] = ({}, {})
    count = 0
    for count, image in enumerate(inputs, 1):
        for name, values in runner.run_float(image).items():
            _take(halves[count % 2].setdefault(name, ValueHistogram()), values)
    one, other = halves
    both = {name: (one.get(name, histogram), histogram) for name, histogram in other.items()}
    return Extremes(
        low={name: min(float(half.low) for half in pair) for name, pair in both.items()},
        high={name: max(float(half.high) for half in pair) for name, pair in both.items()},
        spread={name: _distance(*(middle(half, USED_SHARE) for half in pair)) for name, pair in both.items()},
        images=count,
    )


def _distance(one: Range, other: Range) -> float:
    width = max(one.high - one.low, other.high - other.low)
    return float((abs(one.low - other.low) + abs(one.high - other.high)) / width) if width > 0 else 0.0


def _take(histogram: ValueHistogram, values: np.ndarray) -> None:
    histogram.add(float(values.min()), float(values.max()), values.ravel()[sample_places(values.size)])


def measure_sensitivity(
    runner: LayerRunner, inputs: Iterable[np.ndarray], kind: OutputKind, calibration: Extremes | None = None
) -> Sensitivity:
    """Run both files over images and add up the errors of every layer.

    Args:
        inputs: model inputs [1, *input_shape], float32.
        kind: what the scores are, which says how an image is decided.
        calibration: of the calibration images, where they are at hand.
    """
    logits = _logits(runner)
    sums = {layer.name: _Sums(layer, calibration, logits.get(layer.name)) for layer in runner.layers}
    images = agreed = 0
    decision: Decision = "winner"
    for image in inputs:
        values = runner.run(image)
        for name, layer in sums.items():
            layer.add(values, name)
        reference, answer = (found[runner.output].reshape(1, -1) for found in (values.float_model, values.quantized))
        agreed += int(np.array_equal(decide(reference, kind), decide(answer, kind)))
        decision = decision_of(kind, reference.shape[1])
        images += 1
    layers = [layer.diagnosis(calibration) for layer in sums.values()]
    layers.sort(key=lambda layer: np.inf if layer.own_snr_db is None else layer.own_snr_db)
    scores = sums[runner.output]
    noise = _noise(scores.signal.sum(), scores.error.sum())
    return Sensitivity(layers, images, db_of_noise(noise), agreed / images if images else 0.0, decision)


def _logits(runner: LayerRunner) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The layers that the last softmax or sigmoid reads, with what leaves of their values those that decide."""
    kinds = {layer.name: layer.operation.upper() for layer in runner.layers}
    if kinds.get(runner.output) not in _DECIDING:
        return {}
    decides = partial(deciding, bounded=kinds[runner.output] != "SOFTMAX")
    found, read = {}, runner.output
    while sources := [layer.name for layer in runner.layers if layer.readers == [read]]:
        read = sources[0]
        found[read] = decides
        if kinds[read] not in SAME_VALUES:
            break
    return found


@dataclass
class _Sums:
    """Energies per channel and counts of one layer over all images so far."""

    info: LayerInfo
    calibration: Extremes | None
    decides: Callable[[np.ndarray], np.ndarray] | None = None
    signal: np.ndarray = field(default_factory=lambda: np.zeros(1))
    error: np.ndarray = field(default_factory=lambda: np.zeros(1))
    own: np.ndarray = field(default_factory=lambda: np.zeros(1))
    rounding: np.ndarray = field(default_factory=lambda: np.zeros(1))
    values: int = 0
    clipped: int = 0
    beyond: int = 0
    histogram: ValueHistogram = field(default_factory=ValueHistogram)

    def add(self, values: Values, name: str) -> None:
        """Take in the tensors of one image."""
        expected, found, alone = values.float_model[name], values.quantized[name], values.layer_alone[name]
        if self.decides is not None:
            expected, found, alone = map(self.decides, (expected, found, alone))
        axis = self.info.channel_axis
        self.signal = self.signal + _energies(expected, axis)
        self.error = self.error + _energies(found - expected, axis)
        self.own = self.own + _energies(found - alone, axis)
        self.values += expected.size
        _take(self.histogram, expected)
        if self.info.codes is not None:
            self.rounding = self.rounding + _energies(self.info.codes.round(alone) - alone, axis)
            low, high = self.info.codes.range
            slack = self.info.codes.scale / 2
            self.clipped += _outside(expected, low - slack, high + slack)
        if self.calibration is not None and name in self.calibration.low:
            self.beyond += _outside(expected, self.calibration.low[name], self.calibration.high[name])

    def diagnosis(self, calibration: Extremes | None) -> LayerDiagnosis:
        """What the sums say."""
        spread = calibration.spread.get(self.info.name) if calibration is not None else None
        return LayerDiagnosis(
            name=self.info.name,
            operation=self.info.operation,
            snr_db=db_of_noise(_noise(self.signal, self.error)),
            own_snr_db=db_of_noise(_noise(self.signal, self.own)),
            cause=self._cause(),
            computes_float=self.info.computes_float,
            readers=self.info.readers,
            range=self._range(),
            weights=None if self.info.weights is None else weight_range(self.info.weights),
            calibration_spread=spread,
            beyond_calibration=None if spread is None else self.beyond / max(self.values, 1),
        )

    def _cause(self) -> Cause | None:
        own = _noise(self.signal, self.own)
        if db_of_noise(own) is None:
            return None
        return "range" if _noise(self.signal, self.rounding) > own / 2 else "weights"

    def _range(self) -> TensorRange | None:
        if self.info.codes is None or not self.values:
            return None
        low, high = self.info.codes.range
        used_low, used_high = middle(self.histogram, USED_SHARE)
        used = min(used_high, high) - max(used_low, low)
        return TensorRange(
            low=low,
            high=high,
            seen_low=float(self.histogram.low),
            seen_high=float(self.histogram.high),
            clipped=self.clipped / self.values,
            used=float(np.clip(used / (high - low), 0.0, 1.0)) if high > low else 0.0,
        )


def db_of_noise(noise: float) -> float | None:
    """Signal-to-noise ratio of noise relative to its signal; None where it is nothing but float rounding: below -120 dB."""
    return None if noise <= 1e-12 else float(-10 * np.log10(noise))


def _noise(signal: np.ndarray, error: np.ndarray) -> float:
    """Error energy over signal energy [channels], of the whole or of the median channel that has a signal, whichever is more."""
    alive = signal > 0
    if not np.any(alive):
        return 0.0
    error = np.broadcast_to(error, signal.shape)
    return float(max(error.sum() / signal.sum(), np.median(error[alive] / signal[alive])))


def weight_range(weights: np.ndarray) -> WeightRange:
    """How weights [channels, …] spread."""
    rows = np.abs(weights.reshape(len(weights), -1)).astype(np.float64)
    largest, rms = rows.max(axis=1), np.sqrt(np.mean(rows**2, axis=1))
    alive = largest > 0
    if not alive.any():
        return WeightRange(channel_spread=1.0, outlier=1.0)
    return WeightRange(
        channel_spread=float(largest.max() / np.median(largest[alive])), outlier=float((largest[alive] / rms[alive]).max())
    )


def _energies(values: np.ndarray, axis: int) -> np.ndarray:
    """Sum of squares of each channel [channels], float64; vectors and scalars are one channel.

    Squares are added up in float32, which is exact to 1e-4 here (0.001 dB): copies in float64 would take most of the time.
    """
    if values.ndim < 3:  # scores and other vectors: a channel would be a single value
        flat = values.ravel()
        return np.array([flat @ flat], np.float64)
    rows = values.reshape(-1, values.shape[-1]) if axis == -1 else np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    return np.einsum("ij,ij->j" if axis == -1 else "ij,ij->i", rows, rows).astype(np.float64)


def _outside(values: np.ndarray, low: float, high: float) -> int:
    return int(np.count_nonzero((values < low) | (values > high)))
