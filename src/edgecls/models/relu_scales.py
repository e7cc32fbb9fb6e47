"""Scales behind a ReLU, as a BatchNorm after an activation has them, moved before it into the weights: relu(x) * s is relu(x * |s|) * ±1.

The values stay the same and an operation goes. What int8 gains is more: before, one scale had to serve channels whose ranges differ by
what the BatchNorm was there to even out, and one scale its factors, which differ as much.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from edgecls.models.graph_rewrites import constant_node, operation_node, replace_nodes
from edgecls.quantization.scales import is_clustered
from edgecls.system.extras import require

_BIASES = ("BiasAdd", "AddV2", "Add")
_SCALES = ("Mul",)
_KERNELS = {"Conv2D": 3, "DepthwiseConv2dNative": 2, "MatMul": 1}  # operation -> the axis its outputs begin at
_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_COMMUTING = ("Identity", "MaxPool", "AvgPool")  # a factor above 0 may as well come before them


def move_scales_before_relus(graph: Any) -> None:
    """Rewrite a frozen graph of constants in place; it computes the same but for rounding."""
    _Rewriter(graph).run()


class _Rewriter:
    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.node}
        self.takers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.takers.setdefault(_name(name), []).append(node)
        self.constant = self._constant_names()
        self.added: list[Any] = []

    def run(self) -> None:
        pairs = [(node, norm) for node in self.graph.node if node.op == "Relu" and (norm := self._scaled_behind(node))]
        pairs = [(relu, norm) for relu, norm in pairs if self._chain(relu)]
        if not pairs:
            return
        taken = [node for relu, norm in pairs for node in (norm, *(self._chain(relu) or ()))]
        self.values = self._evaluate({_name(name) for node in taken for name in node.input})
        for relu, norm in pairs:
            self._move(norm, self._chain(relu))  # which may have changed with the pair before
        replace_nodes(self.graph, [*self.graph.node, *self.added])

    def _scaled_behind(self, relu: Any) -> Any | None:
        """The BatchNorm, or its product where it is spelt out, that alone takes a ReLU's values."""
        node = relu
        while node is relu or node.op in _COMMUTING:
            takers = self.takers.get(node.name, [])
            if len(takers) != 1 or any(name.startswith("^") for name in takers[0].input):
                return None
            node = takers[0]
        if node.op in _SCALES:  # of a BatchNorm spelt out, if a summand follows
            takers = self.takers.get(node.name, [])
            if len(takers) != 1 or takers[0].op not in _BIASES or not self._is_of_constants(takers[0]):
                return None
        return node if node.op in (*_NORMS, *_SCALES) and self._is_of_constants(node) else None

    def _chain(self, relu: Any) -> list[Any] | None:
        """From a ReLU upwards what can be scaled: biases, and what they are added to; None where something else is in the way."""
        chain: list[Any] = []
        tensor = relu.input[0]
        while True:
            node = self.nodes.get(_name(tensor))
            if node is None or len(self.takers.get(node.name, [])) != 1 or not self._is_of_constants(node):
                return None
            chain.append(node)
            if node.op in (*_KERNELS, *_NORMS, *_SCALES):
                return chain
            if node.op not in _BIASES:
                return None
            tensor = next(name for name in node.input if _name(name) not in self.constant)

    def _is_of_constants(self, node: Any) -> bool:
        """Whether a node makes something of one tensor and constants."""
        if node.op in _NORMS and (node.attr["is_training"].b or node.attr["data_format"].s.startswith(b"NC")):
            return False  # channels first are refused later, as long as they can be seen
        if node.op in _KERNELS and _name(node.input[1]) not in self.constant:
            return False  # a constant multiplied with a tensor: its outputs are that tensor's
        return sum(_name(name) not in self.constant for name in node.input) == 1 and len(node.input) > 1

    def _move(self, norm: Any, chain: list[Any] | None) -> None:
        scale, shift = self._affine(norm)
        if scale is None or chain is None or not np.isfinite(scale).all():
            return
        if not all(self._can_take(node, scale) for node in chain):
            return
        size = np.where(scale == 0, 1.0, np.abs(scale))
        for node in chain:
            self._scale(node, size)
        source = next(name for name in norm.input if _name(name) not in self.constant)
        steps = [("sign", "Mul", scale / size)] if (scale <= 0).any() else []
        steps += [("shift", "AddV2", shift)] if shift is not None else []
        for place, (kind, operation, values) in enumerate(steps):
            constant = self._add_constant(f"{norm.name}/{kind}", values)
            if place < len(steps) - 1:
                self.added.append(operation_node(f"{norm.name}/{kind}ed", operation, (source, constant.name)))
                source = self.added[-1].name
            else:
                norm.CopyFrom(operation_node(norm.name, operation, (source, constant.name)))
        if not steps:
            norm.CopyFrom(operation_node(norm.name, "Identity", (source,)))

    def _affine(self, norm: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Scale and shift by channel; a product has no shift, and None for a scale where it is none by channel."""
        values = [self.values.get(_name(name)) for name in norm.input]
        if norm.op in _SCALES:
            factors = next(value for value in values if value is not None)
            by_channel = factors.ndim > 0 and factors.size == factors.shape[-1] > 1
            return (factors.astype(np.float64).ravel() if by_channel else None), None
        gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values[1:5])
        scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        return scale, beta - mean * scale

    def _can_take(self, node: Any, scale: np.ndarray) -> bool:
        values = self.values[_name(self._constant_input(node))]
        if node.op in _NORMS:
            return values.size == scale.size
        if node.op not in _KERNELS:
            return values.ndim > 0 and values.size == values.shape[-1] == scale.size
        outputs = int(np.prod(values.shape[_KERNELS[node.op] :]))
        transposed = "transpose_b" in node.attr and node.attr["transpose_b"].b
        return outputs == scale.size and not transposed and not is_clustered(values)

    def _scale(self, node: Any, size: np.ndarray) -> None:
        """Multiply what a node's values are made with, as constants of its own."""
        wanted = list(node.input[1:3]) if node.op in _NORMS else [self._constant_input(node)]
        for index, name in enumerate(node.input):
            if name not in wanted:
                continue
            values = self.values[_name(name)]
            shape = values.shape[_KERNELS[node.op] :] if node.op in _KERNELS else values.shape
            node.input[index] = self._add_constant(f"{node.name}/scaled{index}", values * size.reshape(shape)).name

    def _add_constant(self, name: str, values: np.ndarray) -> Any:
        self.values[name] = values.astype(np.float32)
        self.constant.add(name)
        self.added.append(constant_node(name, self.values[name]))
        return self.added[-1]

    def _constant_input(self, node: Any) -> str:
        """The first of a node's inputs that is constant."""
        return next(name for name in node.input if _name(name) in self.constant)

    def _constant_names(self) -> set[str]:
        """Nodes that compute of constants alone; in a frozen graph each comes after what it takes, or is looked at again."""
        found: set[str] = set()
        while True:
            more = {
                node.name
                for node in self.graph.node
                if node.name not in found and node.op != "Placeholder" and found.issuperset(map(_name, node.input))
            }
            if not more:
                return found
            found |= more

    def _evaluate(self, names: Collection[str]) -> dict[str, np.ndarray]:
        """What these nodes compute, of those that are constant."""
        tf = require("tensorflow")
        wanted = sorted(self.constant.intersection(names))
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.import_graph_def(self.graph, name="")
            return dict(zip(wanted, session.run([f"{name}:0" for name in wanted]), strict=True))


def _name(reference: str) -> str:
    return reference.removeprefix("^").partition(":")[0]
