"""Material: what the attempts at int8 are made of, from one pass over the calibration images: a float model and what was seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecls.formats.tflite.graph import TFLiteGraph
from edgecls.quantization.calibration import Statistics, collect_from_tflite, collect_statistics
from edgecls.quantization.choosing import FEWEST
from edgecls.quantization.equalization import Factors, choose_factors, equalized, scalable, scale_rows
from edgecls.quantization.heights import collect_heights, with_multiples
from edgecls.quantization.kernels import kernels
from edgecls.quantization.logits import Logits
from edgecls.quantization.ranges import ValueHistogram
from edgecls.quantization.rounding import round_layers
from edgecls.quantization.tensors import Tensors
from edgecls.quantization.weighted_layers import WeightedLayer, weighted_layers

if TYPE_CHECKING:
    import onnx

Batches = Callable[[], Iterable[np.ndarray]]  # opens images anew: model inputs [n, *input_shape], float32
LOOKED_AT = 16  # images that factors come from: how channels compare shows on few


@dataclass(frozen=True)
class Material:
    """A float model and what was seen of it.

    Attributes:
        graph: of the float32 TFLite model.
        layers: its layers with weights.
        making: what was seen on the images that make the attempts, by TFLite's names.
        all: the same with the images that judge.
        most_weights: of an output, up to which a layer is rounded by data.
        factors: what the channels of the model as it was given were multiplied by.
    """

    graph: TFLiteGraph
    layers: Sequence[WeightedLayer]
    making: Statistics
    all: Statistics
    most_weights: int
    factors: Factors = field(default_factory=dict)

    @property
    def judging_images(self) -> int:
        """How many images only judge."""
        return self.all.images - self.making.images

    @cached_property
    def rounded(self) -> dict[str, np.ndarray]:
        """Weights of layers rounded by data, by the layer's name; none where too few images could judge them."""
        if self.judging_images < FEWEST:
            return {}
        return round_layers(self.graph, self.layers, self.making.moments, self.most_weights)


def gather(
    graph: TFLiteGraph, onnx_model: onnx.ModelProto, making: Batches, judging: Batches, threads: int, most_weights: int
) -> list[Material]:
    """The model as it is, and equalized where that changes it and images can judge it.

    Args:
        graph: of the float32 TFLite model with a signature.
        onnx_model: the same model from `float_onnx`: it runs the calibration.
        threads: cores to use.
        most_weights: of an output, up to which a layer is sampled and rounded by data.
    """
    calibration = _Calibration(graph, onnx_model, making, threads)
    sampled = [layer for layer in calibration.layers if layer.weights[0].size <= most_weights]
    made, judged = calibration.see(making, sampled), calibration.see(judging, ())
    plain = Material(graph, calibration.layers, made[0], made[0].joined(judged[0]), most_weights)
    if not calibration.factors or plain.judging_images < FEWEST:
        return [plain]
    seen = made[1], made[1].joined(judged[1])
    return [plain, Material(calibration.equalized, calibration.scaled_layers, *seen, most_weights, calibration.factors)]


class _Calibration:
    """Runs the float model over images, and tells from the same run what the equalized one would hold.

    Attributes:
        layers: of the model, those with weights.
        factors: what its channels are multiplied by; none where equalizing changes nothing.
        equalized, scaled_layers: the model with these factors, and those of its layers that TFLite has in the same form.
    """

    def __init__(self, graph: TFLiteGraph, model: onnx.ModelProto, making: Batches, threads: int) -> None:
        self._graph, self._tensors, self._threads = graph, Tensors(graph), threads
        self._values = self._tensors.values_in(model)
        self.layers = weighted_layers(model)
        self.factors = self._choose(model, making)
        self.equalized = equalized(graph, self.factors) if self.factors else graph
        sources = {graph.names[operation.output]: graph.names[operation.operand(0)] for operation in graph.operations}
        self._read = {name: self.factors[source] for name, source in sources.items() if source in self.factors}
        given = kernels(graph) if self.factors else {}
        self._known = [layer for layer in self.layers if layer.name in given and given[layer.name].shape == layer.weights.shape]
        self.scaled_layers = [self._scale(layer) for layer in self._known]
        by_value = {self._values[name]: factor for name, factor in self.factors.items() if name in self._values}
        self._model, self._multiples = with_multiples(model, by_value)

    def see(self, batches: Batches, layers: Sequence[WeightedLayer]) -> tuple[Statistics, Statistics]:
        """What the model holds and what the equalized one does, with TFLite's names; moments of these layers."""
        logits = {name: self._values[name] for names in Logits(self._graph).groups for name in names if name in self._values}
        wanted: dict[str, Any] = {"layers": layers, "logits": list(dict.fromkeys(logits.values()))}
        values = [*self._values.values(), *self._multiples.values()]
        sources = [layer.source for layer in self.layers]
        seen = collect_statistics(self._model, values, sources, batches(), self._threads, **wanted)
        winners = {name: seen.winners[value] for name, value in logits.items() if value in seen.winners}
        found = {name: seen.histograms[value] for name, value in self._values.items()}
        plain = replace(seen, histograms=self._complete(found, self._graph, batches), winners=winners)
        if not self.factors:
            return plain, plain
        kept = {name: histogram for name, histogram in plain.histograms.items() if name not in self.factors}
        moved = {name: self._multiples.get(self._values.get(name, "")) for name in self.factors}
        kept |= {name: seen.histograms[value] for name, value in moved.items() if value is not None}
        return plain, self._scale_seen(replace(plain, histograms=self._complete(kept, self.equalized, batches)))

    def _complete(self, histograms: dict[str, ValueHistogram], graph: TFLiteGraph, batches: Batches) -> dict[str, ValueHistogram]:
        """With those of tensors that ONNX does not have: from one with the same values, or else the TFLite model itself."""
        complete = self._tensors.complete(histograms)
        missing = [name for name in self._tensors.onnx_names if name not in complete]
        return complete | (collect_from_tflite(graph.pack(), missing, batches(), self._threads) if missing else {})

    def _choose(self, model: onnx.ModelProto, making: Batches) -> Factors:
        """Factors from a few of the images; none where too few could judge them."""
        groups = scalable(self._graph)
        names = [name for group in groups for name in group]
        looked_at = list(first_batches(making(), LOOKED_AT)) if names else []
        if sum(map(len, looked_at)) < 2 * FEWEST:  # so many make the attempts where FEWEST judge
            return {}
        places = {name: place for place, name in enumerate(self._graph.names)}
        channels = {self._values[name]: self._graph.shape(places[name])[-1] for name in names if name in self._values}
        heights = collect_heights(model, channels, looked_at, self._threads)
        known = {name: heights[value] for name in names if (value := self._values.get(name)) in heights}
        return choose_factors(self._graph, groups, known)

    def _scale(self, layer: WeightedLayer) -> WeightedLayer:
        read, made = self._read.get(layer.name), self.factors.get(layer.name)
        return replace(layer, weights=scale_rows(layer.weights, read, made))

    def _scale_seen(self, seen: Statistics) -> Statistics:
        """Means and moments of what layers read, multiplied as the channels are."""
        means, moments = dict(seen.means), dict(seen.moments)
        for layer in self._known:
            factors = self._read.get(layer.name)
            if factors is None:
                continue
            if layer.source in means:
                means[layer.source] = seen.means[layer.source] * factors
            if layer.name in moments:
                places = layer.weights.shape[2]
                moments[layer.name] = seen.moments[layer.name].scaled(
                    np.repeat(factors.reshape(layer.groups, -1), places, axis=1)
                )
        return replace(seen, means=means, moments=moments)


def first_batches(batches: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Batches until there are so many images, or no more."""
    have = 0
    for batch in batches:
        yield batch
        have += len(batch)
        if have >= count:
            return
