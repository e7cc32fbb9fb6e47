"""Logits: what the last softmax or sigmoid reads. Which of their values decide is known, so that their range is not estimated.

A logit far below an image's winner becomes a share of nothing, however far it is. Networks that are sure of their answers have such logits
by the dozen, down to twice as far as the winners reach up, and a range that covers them leaves steps so wide that the rounding of the
logits alone costs more than all layers before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from edgecls.formats.tflite.graph import SAME_VALUES, TFLiteGraph
from edgecls.quantization.ranges import Range, ValueHistogram

LEAST_SHARE = 1e-6  # of an answer, below which shares are not told apart
REACH = -float(np.log(LEAST_SHARE))  # of a logit below the winner that has this share


class Logits:
    """Those of a float TFLite model.

    Attributes:
        groups: the names of the tensors that hold the same logits, from the one that is computed to the one that the activation reads,
            for each softmax whose result is a score.
        bounded: the same for each sigmoid.
    """

    def __init__(self, graph: TFLiteGraph) -> None:
        ends = [_origins(graph, tensor) for tensor in graph.outputs]
        self.groups, self.bounded = (_read_by(graph, ends, kind) for kind in ("SOFTMAX", "LOGISTIC"))

    def settle(
        self, ranges: Mapping[str, Range], histograms: Mapping[str, ValueHistogram], winners: Mapping[str, float]
    ) -> dict[str, Range]:
        """The same ranges, those of logits up to the highest one seen and down to what still has a share beside the lowest winner.

        Args:
            ranges: of every activation by its tensor's name.
            histograms: likewise.
            winners: the lowest of the images' highest values, of tensors by name.
        """
        settled = dict(ranges)
        for names in self.groups:
            found = [winners[name] for name in names if name in winners]
            for name in names if found else ():
                seen = histograms[name]
                settled[name] = Range(max(seen.low, found[0] - REACH), seen.high)
        for name in (name for names in self.bounded for name in names):
            settled[name] = Range(max(settled[name].low, -REACH), min(settled[name].high, REACH))
        return settled


def deciding(values: np.ndarray, *, bounded: bool) -> np.ndarray:
    """The logits of one image with those that no range needs to cover moved to where a share ends.

    Args:
        bounded: a sigmoid reads them, each by itself; else a softmax.
    """
    return np.clip(values, -REACH, REACH) if bounded else np.maximum(values, values.max() - REACH)


def _read_by(graph: TFLiteGraph, ends: Collection[list[int]], kind: str) -> list[list[str]]:
    """Names of the tensors with what an operation of that kind reads, for each that ends the model; none whose input others read too, or
    that answers for several places of an image."""
    found = []
    for chain in ends:
        place = graph.makers.get(chain[0])
        if place is None or graph.operations[place].kind != kind:
            continue
        read = _origins(graph, graph.operations[place].operand(0))
        shape = graph.shape(read[-1])
        if (
            all(len(graph.takers[tensor]) == 1 for tensor in read)
            and shape[-1] == np.prod(shape)
            and not {*read} & {*graph.outputs}
        ):
            found.append([graph.names[tensor] for tensor in read])
    return found


def _origins(graph: TFLiteGraph, tensor: int) -> list[int]:
    """The tensor and those whose values it only moves, the first of them first."""
    chain = [tensor]
    while (place := graph.makers.get(chain[0])) is not None and graph.operations[place].kind in SAME_VALUES:
        chain.insert(0, graph.operations[place].operand(0))
    return chain
