"""Normalisations: which operations of a TFLite model divide values by their own deviation, and so stay float in int8 files.

LayerNormalization, GroupNormalization and their kin become a dozen operations around a reciprocal square root. What it takes, a variance,
spans many orders of magnitude, of which 256 even steps hold two: a network with four LayerNormalizations in int8 kept nothing of its
scores (2.6 dB). So from the reduced values to the normalised ones everything stays float, and what goes in and comes out is int8.
"""

from __future__ import annotations

from edgecls.formats.tflite.graph import TFLiteGraph

_ROOTS = ("RSQRT", "SQRT")
_SQUARES = ("SQUARE", "SQUARED_DIFFERENCE")
_REDUCING = ("MEAN", "SUM")
_SCALING = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "RESHAPE")  # with a constant
_ARITHMETIC = ("ADD", "SUB", "MUL", "DIV", "NEG", "MAXIMUM", "MINIMUM")


def normalisations(graph: TFLiteGraph) -> frozenset[str]:
    """Names of the output tensors of the operations that normalise, of a float32 TFLite model."""
    found: set[int] = set()
    for place, operation in enumerate(graph.operations):
        if operation.kind in _ROOTS and operation.inputs:
            found.update(_Normalisation(graph, place).members)
    return frozenset(graph.names[graph.operations[place].output] for place in found)


class _Normalisation:
    """What is between the values and their normalised form, around one square root.

    Attributes:
        members: places of its operations; empty where the root is of something else.
    """

    def __init__(self, graph: TFLiteGraph, root: int) -> None:
        self.graph, self.root, self.members = graph, root, set[int]()
        statistic = self._statistic()
        if statistic is None or not self._grow(statistic):
            self.members = set()

    def _statistic(self) -> int | None:
        """Add what the root is taken of, a mean or sum of squares; the tensor that is squared, before its mean is taken from it."""
        graph = self.graph
        self.members = {self.root, *graph.upwards(graph.operations[self.root].inputs[0], (*_SCALING, *_REDUCING))}
        first = graph.operations[min(self.members)]
        square = graph.makers.get(first.inputs[0])
        if not any(graph.operations[place].kind in _REDUCING for place in self.members) or square is None:
            return None
        operation = graph.operations[square]
        if operation.kind not in _SQUARES and not (operation.kind == "MUL" and len(set(operation.inputs)) == 1):
            return None
        self.members.add(square)
        if len(set(operation.inputs)) == 2:  # squared difference from the mean
            return self._centred(operation.inputs)
        centring = graph.makers.get(operation.inputs[0])
        if centring is not None and graph.operations[centring].kind == "SUB" and len(graph.operations[centring].inputs) == 2:
            self.members.add(centring)
            return self._centred(graph.operations[centring].inputs)
        return operation.inputs[0]

    def _centred(self, inputs: list[int]) -> int | None:
        """Add what makes the mean of two inputs, values and their mean; the values."""
        values, mean = inputs
        for place in self.graph.upwards(mean, (*_SCALING, *_REDUCING)):
            self.members.add(place)
            if self.graph.operations[place].inputs == [values]:
                return values
        return None

    def _grow(self, values: int) -> bool:
        """Add what applies mean and root to the values, until a single tensor leaves; False where none does."""
        graph = self.graph
        rooted, applied = {graph.operations[self.root].output}, False
        for place, operation in enumerate(graph.operations):
            if place in self.members or operation.kind not in _ARITHMETIC:
                continue
            made = {graph.operations[member].output for member in self.members}
            if not made.intersection(operation.inputs) or not made.union([values]).issuperset(operation.inputs):
                continue
            self.members.add(place)
            others = [tensor for tensor in operation.inputs if tensor not in rooted]
            if len(others) < len(operation.inputs):
                rooted.add(operation.output)
                applied |= any(graph.shape(tensor) == graph.shape(values) for tensor in others)
            if applied and len(leaving := self._leaving()) == 1:
                self._add_factors(leaving.pop())
                return True
        return False

    def _leaving(self) -> set[int]:
        graph = self.graph
        made = {graph.operations[member].output for member in self.members}
        return {
            tensor
            for tensor in made
            if tensor in graph.outputs or any(place not in self.members for place in graph.takers.get(tensor, []))
        }

    def _add_factors(self, tensor: int) -> None:
        """Add factors and summands by channel behind it, which belong to it: int8 would round twice for nothing."""
        graph, passed = self.graph, []
        while len(takers := graph.takers.get(tensor, [])) == 1 and tensor not in graph.outputs:
            operation = graph.operations[takers[0]]
            if operation.kind not in ("RESHAPE", "MUL", "ADD") or len(operation.inputs) != 1:
                break
            passed.append(takers[0])
            tensor = operation.output
            if operation.kind != "RESHAPE":
                self.members.update(passed)
