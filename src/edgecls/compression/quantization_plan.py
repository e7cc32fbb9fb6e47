"""The quantization plan: which tensors of a normalised model int8 kernels round, which of them share their parameters, what stays float.

It says of a tf_keras graph what TensorFlow Lite makes of it: an activation that is fused into the operation before it leaves no tensor
between them; operations that only move or select values pass on the parameters of their input; all parts of a concatenation have its
parameters; sigmoid and tanh have those their kernels are written for; softmax computes in float, and so does whatever no rule is known of.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from edgecls.compression.float_calls import float_calls, takers
from edgecls.training.flat_graph import WEIGHTED, FlatGraph, Node

# Output ranges that the int8 kernels are written for: all 256 codes from 0 with a step of 1/256, around 0 with one of 1/128.
FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
_MOVING = (
    "ZeroPadding2D", "Cropping2D", "Flatten", "Reshape", "Permute", "MaxPooling2D", "AveragePooling2D", "UpSampling2D",
    "reshape", "transpose", "squeeze", "expand_dims", "slice_helper", "__operators__.getitem",
)  # fmt: skip
_ROUNDING_AGAIN = ("AveragePooling2D",)  # means of codes are no codes
_JOINING = ("Concatenate", "concat")
_ADDING = ("Add", "math.add", "__operators__.add")
_ARITHMETIC = (
    *_ADDING, "Subtract", "Multiply", "math.subtract", "math.multiply", "__operators__.sub", "__operators__.mul",
)  # fmt: skip
_OWN = (
    *WEIGHTED, *_ARITHMETIC, "GlobalAveragePooling2D", "math.reduce_mean", "ReLU", "nn.relu", "nn.relu6", "nn.gelu", "math.sigmoid",
    "Maximum", "Minimum", "Average", "math.maximum", "math.minimum", "math.square", "math.truediv", "__operators__.truediv", "math.divide",
    "math.negative", "LeakyReLU", "PReLU", "ELU",
)  # fmt: skip
_SOFTMAXES = ("softmax", "Softmax")  # an activation, a layer
_TIES = "softmax computes in float: its int8 form has steps of 1/256, which makes ties between classes"
_NORMALISING = ("LayerNormalization", "GroupNormalization")
_NORMALISES = "it normalises in float between int8 layers: variances span orders of magnitude, which int8 cannot hold"
_NO_INT8 = "the int8 files hold it in float between int8 layers: its TensorFlow Lite kernel has no int8 form here"
_WITHOUT_INT8 = ("LeakyReLU", "PReLU", "ELU", "math.square", "math.negative", "Minimum", "math.minimum")
# relu6(x + 3) / 6, from its end.
_HARD_SIGMOID = (
    ("math.multiply", "__operators__.mul", "math.truediv", "__operators__.truediv"),
    ("ReLU", "nn.relu6"),
    ("math.add", "__operators__.add"),
)
_FUSED_LIMITS = (None, 6.0)


@dataclass
class Plan:
    """What is rounded where.

    Attributes:
        sites: names of the tensors that are rounded, in order.
        group: site -> number of the group whose parameters it has.
        fixed: site -> range its kernel is written for.
        aliases: tensor that is not rounded itself -> the site whose parameters it has.
        rounded_again: alias whose values are brought back to codes.
        unrounded: call -> why its output is no int8 tensor.
        stays_float: call -> why it computes in float.
        float_calls: those of them that the files have to be told of, since no kind of operation says it, by what they make.
        sums: two sites that are added, and the site of their sum.
    """

    sites: list[str] = field(default_factory=list)
    group: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, tuple[float, float]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    rounded_again: set[str] = field(default_factory=set)
    unrounded: dict[str, str] = field(default_factory=dict)
    stays_float: dict[str, str] = field(default_factory=dict)
    float_calls: list[str] = field(default_factory=list)
    sums: list[tuple[str, str, str]] = field(default_factory=list)

    def members(self) -> dict[int, list[str]]:
        """The sites of each group."""
        groups: dict[int, list[str]] = {}
        for site in self.sites:
            if site not in self.fixed:
                groups.setdefault(self.group[site], []).append(site)
        return groups

    def tensors(self) -> dict[str, str]:
        """Every int8 tensor -> the site whose parameters it has."""
        return {site: site for site in self.sites} | self.aliases


def plan_quantization(model: Any, keep_float: Collection[str] = ()) -> Plan:
    """Plan the quantization of a normalised flat model, in which the layers `keep_float` stay float."""
    return _Planner(FlatGraph(model), keep_float).run()


class _Planner:
    def __init__(self, graph: FlatGraph, keep_float: Collection[str]) -> None:
        self.graph, self.plan = graph, Plan()
        self.floats = float_calls(graph, keep_float, _has_rule, self._fused_behind)
        self.site_of: dict[int, str] = {}  # tensor -> site
        self.parents: dict[str, str] = {}
        self.merged: dict[str, Node] = {}  # call -> the equal one that stands for it

    def run(self) -> Plan:
        source = self.graph.inputs[0]
        self._add(source.name, source)
        for node in self.graph.nodes:
            self._visit(node)
        numbers: dict[str, int] = {}
        for site in self.plan.sites:
            self.plan.group[site] = numbers.setdefault(self._root(site), len(numbers))
        return self.plan

    def _visit(self, node: Node) -> None:
        source, output = node.inputs[0], node.outputs[0]
        fixed = FIXED_RANGES.get(node.activation or "")
        if node.name in self.floats:
            self._float(node)
        elif node.is_inert:
            self._alias(node, source)
        elif node.name in (inside := self._inside_hard_swish()):
            self.plan.unrounded[node.name] = inside[node.name]
        elif (node.activation or node.kind) in _SOFTMAXES:
            self.plan.stays_float[node.name] = _TIES
        elif fixed is not None:
            self._add(node.name, output)
            self.plan.fixed[node.name] = fixed
        elif node.kind in _MOVING:
            self._alias(node, source)
            if node.kind in _ROUNDING_AGAIN:
                self.plan.rounded_again.add(node.name)
        elif node.name in self.merged:
            self._alias(node, self.merged[node.name].outputs[0])
            self.plan.rounded_again.add(node.name)
        elif node.kind in _JOINING:
            for tensor in node.inputs[1:]:
                self._join(source, tensor)
            self._alias(node, source)
        elif node.kind in _NORMALISING:
            self._add_unless_float(node)
            self.plan.stays_float[node.name] = _NORMALISES
        else:
            self._own(node)

    def _float(self, node: Node) -> None:
        self.plan.stays_float[node.name] = self.floats[node.name]
        if (taker := self._fused_behind(node)) is not None:
            self.plan.unrounded[node.name] = f"{taker.name} is fused into it"
            return
        if len(node.outputs) == 1 and node.outputs[0].dtype.is_floating:
            self.plan.float_calls.append(node.name)
            self._add_unless_float(node)

    def _add_unless_float(self, node: Node) -> None:
        """Round what a float call makes where an int8 one takes it."""
        taken = list(takers(self.graph, node.outputs[0]))
        if not taken or any(not self._is_float(taker) for taker in taken):
            self._add(node.name, node.outputs[0])

    def _is_float(self, node: Node) -> bool:
        kinds = (*_SOFTMAXES, *_NORMALISING, *_WITHOUT_INT8)
        return node.name in self.floats or node.kind in kinds or node.activation in _SOFTMAXES

    def _fused_behind(self, node: Node) -> Node | None:
        """The activation behind a call that TensorFlow Lite makes part of it."""
        taker = self.graph.sole_consumer(node.outputs[0]) if node.kind in (*WEIGHTED, *_ARITHMETIC) else None
        return taker if taker is not None and _is_fused(taker) else None

    def _own(self, node: Node) -> None:
        taker = self.graph.sole_consumer(node.outputs[0]) or self._merge(node.outputs[0])
        fused = taker is not None and node.kind in (*WEIGHTED, *_ARITHMETIC) and _is_fused(taker)
        sites = [self.site_of.get(id(tensor)) for tensor in node.inputs]
        if node.kind in _ADDING and len(sites) == 2 and all(sites):
            self.plan.sums.append((str(sites[0]), str(sites[1]), taker.name if taker is not None and fused else node.name))
        if taker is not None and fused:
            self.plan.unrounded[node.name] = f"{taker.name} is fused into it"
            return
        self._add(node.name, node.outputs[0])
        if node.kind in _WITHOUT_INT8 or (node.activation is not None and node.activation not in ("relu", "gelu", "relu6")):
            self.plan.stays_float[node.name] = _NO_INT8

    def _merge(self, tensor: Any) -> Node | None:
        """The first of several takers that are all one activation, as in NASNet: TensorFlow Lite merges them before it fuses."""
        takers = self.graph.consumers.get(id(tensor), [])
        limits = {_limit(taker) if _is_fused(taker) else "not fused" for taker in takers}
        if len(limits) != 1 or "not fused" in limits or any(tensor is output for output in self.graph.outputs):
            return None
        first, *others = takers
        self.merged |= {other.name: first for other in others}
        return first

    def _add(self, name: str, tensor: Any) -> None:
        self.plan.sites.append(name)
        self.site_of[id(tensor)] = name
        self.parents[name] = name

    def _alias(self, node: Node, source: Any) -> None:
        site = self.site_of.get(id(source))
        if site is not None:
            self.site_of[id(node.outputs[0])] = site
            self.plan.aliases[node.name] = site

    def _join(self, one: Any, other: Any) -> None:
        sites = [self.site_of.get(id(tensor)) for tensor in (one, other)]
        if all(site is not None and site not in self.plan.fixed for site in sites):
            first, second = (self._root(str(site)) for site in sites)
            self.parents[second] = first

    def _root(self, site: str) -> str:
        while self.parents[site] != site:
            site = self.parents[site]
        return site

    def _inside_hard_swish(self) -> dict[str, str]:
        """Calls within x * relu6(x + 3) / 6, which TensorFlow Lite joins to one operation."""
        if not hasattr(self, "_hard_swish"):
            self._hard_swish = {
                name: f"part of the hard-swish {node.name}" for node in self.graph.nodes for name in self._hard_swish_parts(node)
            }
        return self._hard_swish

    def _hard_swish_parts(self, node: Node) -> list[str]:
        if node.kind not in ("Multiply", "math.multiply") or len(node.inputs) != 2:
            return []
        for value, gate in (node.inputs, node.inputs[::-1]):
            chain, tensor = [], gate
            for kinds in _HARD_SIGMOID:
                part = self.graph.producers.get(id(tensor))
                if part is None or part.kind not in kinds or len(part.inputs) != 1 or len(self.graph.consumers[id(tensor)]) != 1:
                    break
                chain.append(part.name)
                tensor = part.inputs[0]
            if len(chain) == len(_HARD_SIGMOID) and tensor is value:
                return chain
        return []


def _has_rule(node: Node) -> bool:
    known = (*_MOVING, *_JOINING, *_NORMALISING, *_OWN, *_SOFTMAXES)
    return node.is_inert or node.kind in known or node.activation is not None


def _is_fused(node: Node) -> bool:
    """Whether TensorFlow Lite makes this activation part of the operation before it."""
    if node.kind == "ReLU":
        layer = node.layer
        return layer.max_value in _FUSED_LIMITS and not layer.negative_slope and not layer.threshold
    return node.activation in ("relu", "relu6") or node.kind in ("nn.relu", "nn.relu6")


def _limit(node: Node) -> float | None:
    """The highest value that a fused activation lets through."""
    if node.kind == "ReLU":
        return node.layer.max_value
    return 6.0 if "relu6" in (node.activation, node.kind.removeprefix("nn.")) else None
