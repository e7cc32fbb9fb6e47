"""What a frozen graph tells of its scores: probabilities of which kind, logits, or no scores of the classes at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgecls.models.freezing import OUTPUT
from edgecls.models.graph_evidence import TF_SAME_VALUES, constant_value, producer
from edgecls.records.artifact import OutputKind

_KINDS: dict[str, OutputKind] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_RANKED = {"TopKV2": "the highest scores or their places, sorted (top_k)", "ArgMax": "the place of the highest score (argmax)"}
# What becomes of the shares where several values are put together.
_TOGETHER = dict.fromkeys(("Add", "AddV2", "AddN", "BiasAdd"), np.sum) | dict.fromkeys(("Pack", "ConcatV2", "Mean"), np.mean)
# What scores end in whose sum is 1 by no construction.
_NO_DISTRIBUTION = {"BiasAdd", "MatMul", "Conv2D", "Mean", "LogSoftmax", "Sigmoid", "Tanh", "Relu"}
_CLIPS = ("Maximum", "Minimum")  # at the lower limit and at the upper one
_MIDDLE = 0.5
_AXIS_LAST = {"ConcatV2", "Mean"}  # whose last input is their axis
_DEEPEST = 100  # additions, one behind the other: so many networks may be averaged
_ROUNDING = 1e-3  # of the share of each, which may be a float16 number
_Mixture = tuple[OutputKind, float]


def output_kind(graph: Any, output: str = OUTPUT) -> OutputKind:
    """Whether the scores are probabilities of classes that exclude each other, of each alone, or logits.

    Probabilities are what a softmax or a sigmoid gives, and means of such, as of several networks together.
    """
    found = _Search(graph).mixture(output)
    return found[0] if found is not None and abs(found[1] - 1) < _ROUNDING else "logits"


def may_sum_to_one(graph: Any, output: str = OUTPUT) -> bool:
    """Whether scores that `output_kind` calls no softmax are made by an operation that a distribution may come from."""
    return _Search(graph).maker(output).op not in _NO_DISTRIBUTION


def sum_to_one(scores: np.ndarray) -> bool:
    """Whether scores [n, classes] on various images are distributions, as products, mixtures and clipped ones of such are."""
    return scores.shape[1] > 1 and bool(np.all(scores > -_ROUNDING) and np.all(np.abs(scores.sum(axis=1) - 1) < _ROUNDING))


def ranking(graph: Any, output: str = OUTPUT) -> str | None:
    """What the graph gives instead of one score for each class; None where it gives scores."""
    return _RANKED.get(_Search(graph).maker(output).op)


class _Search:
    """Goes from the scores towards the image."""

    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._found: dict[str, _Mixture | None] = {}

    def maker(self, reference: str) -> Any:
        """The node that makes a value, behind it those that only move it."""
        node = self._nodes[producer(reference)]
        while node.op in TF_SAME_VALUES:
            node = self._nodes[producer(node.input[0])]
        return node

    def mixture(self, reference: str, depth: int = 0) -> _Mixture | None:
        """The kind of probabilities that a value is a multiple of, and the factor; None where it is none."""
        node = self.maker(reference)
        if node.name not in self._found:
            self._found[node.name] = self._mixture(node, depth) if depth < _DEEPEST else None
        return self._found[node.name]

    def _mixture(self, node: Any, depth: int) -> _Mixture | None:
        if node.op in _KINDS or self._is_softmax_written_out(node):
            return _KINDS.get(node.op, "softmax"), 1.0
        if node.op == "Relu6" or self._is_clipped(node):  # of a hard sigmoid, which may be written as a sixth of the one
            return "sigmoid", 6.0 if node.op == "Relu6" else 1.0
        if node.op in _TOGETHER:
            values = node.input[:-1] if node.op in _AXIS_LAST else node.input
            return _together((self.mixture(name, depth + 1) for name in values), _TOGETHER[node.op])
        if node.op in ("Mul", "RealDiv"):
            return self._scaled(node, depth)
        if node.op == "Sub" and self._number(node.input[0]) == 1:  # 1 - p
            return self.mixture(node.input[1], depth + 1)
        return None

    def _is_softmax_written_out(self, node: Any) -> bool:
        """As Keras 2 does for more than two axes."""
        return node.op == "RealDiv" and [self.maker(name).op for name in node.input] == ["Exp", "Sum"]

    def _is_clipped(self, node: Any) -> bool:
        """Whether values are cut off at 0 and 1, or close to them, as a hard sigmoid is, or a sigmoid before a logarithm."""
        limits = {}
        while node.op in _CLIPS and node.op not in limits:
            numbers = [self._number(name) for name in node.input]
            place = next((place for place, number in enumerate(numbers) if number is not None), None)
            if place is None:
                return False
            limits[node.op] = numbers[place]
            node = self.maker(node.input[1 - place])
        return len(limits) == len(_CLIPS) and 0 <= limits["Maximum"] < _MIDDLE < limits["Minimum"] <= 1

    def _scaled(self, node: Any, depth: int) -> _Mixture | None:
        for value, other in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
            factor = self._number(other)
            if factor and (node.op == "Mul" or value == node.input[0]):
                found = self.mixture(value, depth + 1)
                return found and (found[0], found[1] * factor if node.op == "Mul" else found[1] / factor)
        return None

    def _number(self, reference: str) -> float | None:
        """The one value of a constant."""
        value = constant_value(self._nodes, reference)
        return float(value.flat[0]) if value is not None and value.size and np.all(value == value.flat[0]) else None


def _together(parts: Iterable[_Mixture | None], share: Any) -> _Mixture | None:
    """Several values as one; None where one of them is no probability, or another kind of them."""
    found: list[_Mixture] = []
    for part in parts:
        if part is None or (found and part[0] != found[0][0]):
            return None
        found.append(part)
    return found[0][0], float(share([factor for _, factor in found]))
