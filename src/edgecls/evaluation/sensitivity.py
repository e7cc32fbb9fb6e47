"""Sensitivity: what each layer of a quantized file loses against its float self, streamed over images, and the advice that follows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.diagnosis import WEAK_DB, Advice, LayerDiagnosis, TensorRange, WeightRange
from edgecls.errors import DataError
from edgecls.evaluation.layer_values import INPUT_OPERATION, LayerInfo, Values
from edgecls.evaluation.layers_tflite import TFLiteLayers
from edgecls.ranges import Histogram

SAMPLE = 4096  # values of a tensor and an image that its histogram sees
MIDDLE = 0.999  # of the values: what lies beyond are outliers

# what the advice goes by
KEPT_MOST = 5
GOOD_AGREEMENT = 0.99
GROWTH = 0.05  # of the extremes from half of the calibration images to all: their ends are not found yet
BEYOND = (
    0.001  # of a tensor's values outside the calibration images' extremes: a minmax range over like images leaves next to none
)
CLIPPED = 0.01
FEW_IMAGES = 100
WIDE = 10.0  # times the median channel


@dataclass
class _Extremes:
    """Extremes of a tensor over the calibration images, and over every second of them."""

    low: float = np.inf
    high: float = -np.inf
    half_low: float = np.inf
    half_high: float = -np.inf

    def add(self, values: np.ndarray, halved: bool) -> None:
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if halved:
            self.half_low, self.half_high = min(self.half_low, low), max(self.half_high, high)

    @property
    def growth(self) -> float:
        half = self.half_high - self.half_low
        return (self.high - self.low) / half - 1 if half > 0 else 0.0


class _Tally:
    """Energies over all images of one layer, by channel (the last axis), in float64."""

    def __init__(self) -> None:
        self.count = self.clipped = self.beyond = 0
        self.signal = self.error = self.rounding = 0.0  # of the float file's values; the rounding is that of its own output alone
        self.alone_signal = self.arithmetic = 0.0  # of what the float operation makes of the quantized file's inputs
        self.histogram = Histogram()

    def add(self, layer: LayerInfo, values: Values, extremes: _Extremes | None) -> None:
        exact, stored, alone = (
            np.asarray(tensors[layer.name], np.float64) for tensors in (values.float_model, values.quantized, values.layer_alone)
        )
        self.count += exact.size
        self.signal += _energy(exact)
        self.error += _energy(stored - exact)
        self.alone_signal += _energy(alone)
        codes = layer.codes
        if codes is None:
            self.arithmetic += _energy(stored - alone)
        else:
            (low, high), half_step = codes.range, codes.scale / 2
            self.rounding += _energy(codes.round(exact) - exact)
            self.arithmetic += _energy(stored - codes.round(alone))
            self.clipped += int(np.count_nonzero((exact < low - half_step) | (exact > high + half_step)))
        if extremes is not None:
            self.beyond += int(np.count_nonzero((exact < extremes.low) | (exact > extremes.high)))
        flat = exact.ravel()
        self.histogram.add(float(flat.min()), float(flat.max()), flat[:: max(1, flat.size // SAMPLE)])

    @property
    def noise(self) -> tuple[float, float]:
        """What the layer itself adds, as shares of its output's energy: by its output's range, and by its weights and arithmetic.

        The larger of the share in all values and of that in the median channel: one channel that stretches the range holds most of the
        energy itself, and hides that the others are lost.
        """
        return _share(self.rounding, self.signal), _share(self.arithmetic, self.alone_signal)


def _energy(values: np.ndarray) -> np.ndarray:
    return np.sum(values.reshape(-1, values.shape[-1]) ** 2, axis=0)


def _share(error: Any, signal: Any) -> float:
    if not np.any(error):
        return 0.0
    alive = signal > 0
    median = float(np.median(error[alive] / signal[alive])) if alive.any() else 0.0
    return max(median, float(error.sum() / max(signal.sum(), np.finfo(np.float64).tiny)))


@dataclass(frozen=True)
class Sensitivity:
    """What `measure` found.

    Attributes:
        layers: the one that adds most error first; those without any error last.
        snr_db: of the scores; None where there is no error.
        agreement: share of images with the same winner.
    """

    layers: list[LayerDiagnosis]
    images: int
    calibration_images: int
    snr_db: float | None
    agreement: float


def measure(
    float_path: Path, quantized_path: Path, images: Iterable[np.ndarray], calibration: Iterable[np.ndarray] = ()
) -> Sensitivity:
    """Run both files side by side and hold every layer of the one against the other.

    The error a layer adds itself has two parts: what rounding and clipping does to its own float output, and what its rounded weights and
    integer arithmetic add, which is told from the error that came with its inputs by running its float operation on the quantized
    file's inputs.

    Args:
        float_path, quantized_path: two .tflite of one model.
        images: model inputs [n, *input_shape], float32, in batches; one image at a time is looked at.
        calibration: the images that the ranges come from, where they are at hand; seen in the float file alone.

    Raises:
        ArtifactError: the two are not of one model.
        DataError: no image.
    """
    runner = TFLiteLayers(float_path, quantized_path)
    extremes, calibration_images = _extremes(runner, calibration)
    tallies = {layer.name: _Tally() for layer in runner.layers}
    seen = same = 0
    for image in _one_by_one(images):
        values = runner.run(image)
        for layer in runner.layers:
            tallies[layer.name].add(layer, values, extremes.get(layer.name))
        seen += 1
        same += int(np.argmax(values.float_model[runner.output]) == np.argmax(values.quantized[runner.output]))
    if not seen:
        raise DataError("at least one image", "none", "name some with --data")
    layers = [_diagnosis(layer, tallies[layer.name], extremes.get(layer.name)) for layer in runner.layers]
    layers.sort(key=lambda layer: math.inf if layer.own_snr_db is None else layer.own_snr_db)
    scores = tallies[runner.output]
    return Sensitivity(layers, seen, calibration_images, _snr_db(np.sum(scores.signal), np.sum(scores.error)), same / seen)


def advise(found: Sensitivity, estimator: str | None, commands: Mapping[str, str]) -> list[Advice]:
    """What to do about it, the cheapest first.

    Args:
        estimator: of the artifact's ranges.
        commands: the commands that can be given: `convert` and `compress`, without the options that the advice adds.
    """
    if found.agreement >= GOOD_AGREEMENT and (found.snr_db is None or found.snr_db >= WEAK_DB):
        return [
            Advice(kind="nothing", text=f"The winner is the same on {found.agreement:.1%} of the images: nothing needs doing.")
        ]
    advice = [*_calibration_advice(found), *_estimator_advice(found, estimator, commands)]
    weak = [layer for layer in found.layers if layer.is_weak and not layer.computes_float and layer.operation != INPUT_OPERATION]
    weak = weak[:KEPT_MOST]
    if weak:
        # where the output's range is at fault, who reads it must be float too, or the tensor would be rounded all the same
        kept = [name for layer in weak for name in (layer.name, *(layer.readers if layer.cause == "range" else ()))]
        options = " ".join(f"--keep-float {shlex.quote(name.split(';')[0])}" for name in dict.fromkeys(kept))
        text = f"{len(weak)} of {len(found.layers)} layers add error of over 1 % of their output's energy each: leave them float."
        advice.append(Advice(kind="keep_float", text=text, command=f"{commands['convert']} {options}"))
    text = "Let the weights learn to live with the rounding: quantization-aware training."
    return [*advice, Advice(kind="qat", text=text, command=f"{commands['compress']} --qat")]


def _calibration_advice(found: Sensitivity) -> list[Advice]:
    known = [layer for layer in found.layers if layer.beyond_calibration is not None]
    worst = max(known, key=lambda layer: layer.beyond_calibration or 0.0, default=None)
    if worst is not None and (worst.beyond_calibration or 0.0) > BEYOND:
        text = (
            f"{worst.beyond_calibration:.2%} of the values of {worst.name.split(';')[0]} lie beyond all that the calibration images "
            "showed: these images are unlike them. Calibrate on images like those the model will see."
        )
        return [Advice(kind="other_calibration", text=text)]
    growth = float(np.median([layer.calibration_growth or 0.0 for layer in known])) if known else 0.0
    if growth > GROWTH and found.calibration_images < FEW_IMAGES:
        text = (
            f"From half of the {found.calibration_images} calibration images to all, the tensors' extremes still grow by {growth:.0%}: "
            "use more of them."
        )
        return [Advice(kind="more_calibration", text=text)]
    return []


def _estimator_advice(found: Sensitivity, estimator: str | None, commands: Mapping[str, str]) -> list[Advice]:
    clipping = [layer for layer in found.layers if layer.range and layer.range.clipped > CLIPPED and layer.cause == "range"]
    if not clipping or estimator in (None, "minmax"):
        return []
    text = (
        f"{len(clipping)} layers have over {CLIPPED:.0%} of their values cut off by the {estimator} ranges: try those of minmax."
    )
    return [Advice(kind="estimator", text=text, command=f"{commands['convert']} --estimator minmax")]


def _extremes(runner: TFLiteLayers, calibration: Iterable[np.ndarray]) -> tuple[dict[str, _Extremes], int]:
    extremes: dict[str, _Extremes] = {}
    count = 0
    for image in _one_by_one(calibration):
        for name, values in runner.run_float(image).items():
            extremes.setdefault(name, _Extremes()).add(values, halved=count % 2 == 0)
        count += 1
    return extremes, count


def _one_by_one(batches: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    for batch in batches:
        for index in range(len(batch)):
            yield batch[index : index + 1]


def _diagnosis(layer: LayerInfo, tally: _Tally, extremes: _Extremes | None) -> LayerDiagnosis:
    rounding, arithmetic = tally.noise
    cause = None if not rounding + arithmetic else "range" if rounding >= arithmetic else "weights"
    return LayerDiagnosis(
        name=layer.name,
        operation=layer.operation,
        snr_db=_snr_db(np.sum(tally.signal), np.sum(tally.error)),
        own_snr_db=_snr_db(1.0, rounding + arithmetic),
        cause=cause,
        computes_float=layer.computes_float,
        readers=layer.readers,
        range=_range(layer, tally),
        weights=_weights(layer.weights),
        calibration_growth=extremes.growth if extremes else None,
        beyond_calibration=tally.beyond / tally.count if extremes else None,
    )


def _snr_db(signal: Any, error: Any) -> float | None:
    if not error:
        return None
    return round(10 * math.log10(max(signal, np.finfo(np.float64).tiny) / error), 2)


def _range(layer: LayerInfo, tally: _Tally) -> TensorRange | None:
    if layer.codes is None:
        return None
    low, high = layer.codes.range
    histogram = tally.histogram
    share = np.cumsum(histogram.counts) / max(int(histogram.counts.sum()), 1)
    first, last = np.searchsorted(share, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    middle_low = max(float(histogram.edges[first]), histogram.low)
    middle_high = min(float(histogram.edges[min(last + 1, len(share))]), histogram.high)
    used = max(min(middle_high, high) - max(middle_low, low), 0.0) / (high - low)
    return TensorRange(
        low=low,
        high=high,
        seen_low=histogram.low,
        seen_high=histogram.high,
        clipped=tally.clipped / tally.count,
        used=min(used, 1.0),
    )


def _weights(weights: np.ndarray | None) -> WeightRange | None:
    if weights is None:
        return None
    channels = weights.reshape(len(weights), -1).astype(np.float64)
    largest, size = np.abs(channels).max(axis=1), np.sqrt(np.mean(channels**2, axis=1))
    alive = largest > 0
    if not alive.any():
        return None
    return WeightRange(
        channel_spread=float(largest.max() / np.median(largest[alive])), outlier=float((largest[alive] / size[alive]).max())
    )
