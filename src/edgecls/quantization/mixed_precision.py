"""Mixed precision: the fewest layers that have to stay float until an accuracy goal holds on the int8 TFLite file itself.

One layer after another is added, each time the one whose float form lowers the error of the scores on the calibration images most beside
those that are float already: a layer helps most where its neighbours are float too, since a tensor between them is not rounded at all. So
a ranking made once misleads, and each round looks at the best of the last one and at the neighbours of what is float. After each layer the
file as it would ship is measured on half of the images; when the goal holds there, every layer added is tried without again. Then
the other half, which has chosen nothing, judges; only if the goal fails there does the same go on until it holds on both.

What is found holds the goal on both halves as measured, and without any single one of its layers it would fail on an image set that chose.
It need not be the smallest set there is: that would take trying them all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgecls.errors import StageError
from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.accuracy_goal import HALVES, AccuracyGoal, Half
from edgecls.quantization.float_layers import never_int8, short_name
from edgecls.quantization.int8 import Quantized
from edgecls.records.counted import counted

CONTENDERS = 8  # of the last ranking that the next round looks at
_BORDER = ("SOFTMAX", "QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        quantized: the model with the fewest layers float.
        kept: names of the layers, operations that only move their values left out.
        drops: in percentage points on the choosing and on the judging half.
        judge_chose: whether the judging half, too, made layers stay float.
        models: number of models made and tried.
    """

    quantized: Quantized
    kept: list[str]
    drops: tuple[float, float]
    judge_chose: bool
    models: int

    def told(self, goal: AccuracyGoal, layers: Sequence[str]) -> str:
        """What it came to, for people; `layers` are those that may be named, by their tensors in the float file."""
        names = ", ".join(short_name(layer, layers) for layer in self.kept) or "none"
        halves = zip(("chose", "judged"), self.drops, goal.images, strict=True)
        drops = ", ".join(f"{drop:.2f} points on the {images} that {role}" for role, drop, images in halves)
        also = "; the latter made layers stay float too, so that neither is a sample of new images" if self.judge_chose else ""
        return (
            f"{counted(len(self.kept), 'layer')} stayed float for --mixed-precision: {names}; drop of {goal.of} against the float model, "
            f"measured on this file: {drops}{also} ({counted(self.models, 'model')} tried)"
        )


def keep_fewest(graph: TFLiteGraph, quantized: Quantized, goal: AccuracyGoal, shipped: Callable[[Quantized], bytes]) -> Found:
    """Search for the fewest layers that have to stay float.

    Args:
        shipped: the file that ships of a model, with the border that was asked for.

    Raises:
        StageError: the goal fails even with every layer but one float.
    """
    return _Search(graph, quantized, goal, shipped).run()


class _Search:
    def __init__(
        self, graph: TFLiteGraph, quantized: Quantized, goal: AccuracyGoal, shipped: Callable[[Quantized], bytes]
    ) -> None:
        self._float, self._start, self._goal, self._shipped = graph.file, quantized, goal, shipped
        self._layers, self._neighbours, self._weighted = _layers(graph)
        self._ranking: list[str] = list(self._layers)
        self._models = 0

    def run(self) -> Found:
        kept = self._shrink(self._grow([], ("choosing",)), ("choosing",))
        judge_chose = not self._holds(kept, "judging")
        if judge_chose:
            kept = self._shrink(self._grow(kept, HALVES), HALVES)
        drops = self._drop(kept, "choosing"), self._drop(kept, "judging")
        return Found(self._quantized(kept), kept, drops, judge_chose, self._models)

    def _grow(self, kept: list[str], halves: Sequence[Half]) -> list[str]:
        """Add layers until the goal holds on these halves."""
        while not all(self._holds(kept, half) for half in halves):
            candidates = self._candidates(kept)
            if not candidates:
                drop = max(self._drop(kept, half) for half in halves)
                raise StageError(
                    f"--mixed-precision 'drop<={self._goal.points:g}' with at least one layer of weights in int8",
                    f"a drop of {drop:.2f} points of {self._goal.of} with all but one float",
                    "allow a larger drop, calibrate on more images, or train on with `edgecls compress --qat`",
                )
            kept = [*kept, self._next(kept, candidates)]
        return kept

    def _candidates(self, kept: list[str]) -> list[str]:
        """What may become float next; a file without weights in int8 is no int8 file, so that the last of them stays."""
        integer = self._weighted - set(kept)
        return [name for name in self._ranking if name not in kept and integer != {name}]

    def _next(self, kept: list[str], candidates: list[str]) -> str:
        """The layer whose float form helps most beside those that are float."""
        near = {name for layer in kept for name in self._neighbours[layer]}
        if kept:
            candidates = [name for place, name in enumerate(candidates) if place < CONTENDERS or name in near]
        losses = {name: self._start.loss(self._make([*kept, name])) for name in candidates}
        seen = sorted(losses, key=lambda name: losses[name])
        self._ranking = [*seen, *(name for name in self._ranking if name not in losses)]
        return seen[0]

    def _shrink(self, kept: list[str], halves: Sequence[Half]) -> list[str]:
        """Leave out what is not needed after all, what would be missed least first, until each layer is needed."""
        needed: set[str] = set()
        while untried := [layer for layer in kept if layer not in needed]:
            without = {layer: [name for name in kept if name != layer] for layer in untried}
            layer = min(untried, key=lambda name: self._start.loss(self._make(without[name])))
            if all(self._holds(without[layer], half) for half in halves):
                kept = without[layer]
                needed.clear()
            else:
                needed.add(layer)
        return kept

    def _make(self, kept: Collection[str]) -> bytes:
        self._models += 1
        return self._start.remake(self._names(kept)) if kept else self._start.model

    def _quantized(self, kept: Collection[str]) -> Quantized:
        return replace(self._start, model=self._make(kept), float_layers=frozenset(self._names(kept))) if kept else self._start

    def _names(self, kept: Iterable[str]) -> list[str]:
        return [name for layer in kept for name in self._layers[layer]]

    def _holds(self, kept: Collection[str], half: Half) -> bool:
        return self._drop(kept, half) <= self._goal.points + 1e-9  # points are shares of whole images times 100

    def _drop(self, kept: Collection[str], half: Half) -> float:
        return self._goal.measure(self._float, self._shipped(self._quantized(kept)), half)


def _layers(graph: TFLiteGraph) -> tuple[dict[str, list[str]], Mapping[str, set[str]], set[str]]:
    """The layers of a float TFLite model, who stands next to whom, and which have weights.

    An operation that only moves the values of the one before it is no layer of its own: they stay float together.
    """
    never = never_int8(graph)
    layers: dict[str, list[str]] = {}
    maker: dict[int, str] = {}  # tensor -> the layer it comes from
    neighbours: dict[str, set[str]] = {}
    weighted: set[str] = set()
    for operation in graph.operations:
        name = graph.names[operation.output]
        sources = {maker[tensor] for tensor in operation.operands if tensor in maker}
        if operation.kind in SAME_VALUES and len(sources) == 1:
            layer = sources.pop()
            layers[layer].append(name)
        elif operation.kind in _BORDER or name in never or len(operation.outputs) != 1:
            continue  # float anyway, or with several outputs, which no name stands for
        else:
            layer = name
            layers[layer], neighbours[layer] = [name], sources
            for source in sources:
                neighbours[source].add(layer)
            if any(len(graph.shape(tensor)) > 1 for tensor in operation.constants):
                weighted.add(layer)
        maker[operation.output] = layer
    return layers, neighbours, weighted
