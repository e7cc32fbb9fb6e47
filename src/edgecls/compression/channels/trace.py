"""Trace: the channels of a flat tf_keras model, found by going through its graph once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from edgecls.compression.channels.functions import rule_of
from edgecls.compression.channels.layers import RULES
from edgecls.compression.channels.passing import Cost, Cut, Findings, Lane, NotFollowedError, Passing, Read, Setting
from edgecls.compression.channels.ties import FIXED
from edgecls.training.batch_norms import goes_by_batch
from edgecls.training.flat_graph import FlatGraph, Node

_NO_RULE = "how channels pass through {kind} is not known here"
_CLASSES = "the classes stay"


@dataclass(frozen=True)
class Group:
    """Channels that pass through the same layers, so that one of them is like another.

    Attributes:
        layers: names of those that make them.
        channels: their numbers.
    """

    layers: tuple[str, ...]
    channels: np.ndarray


@dataclass(frozen=True)
class Channels:
    """The channels of a model. A channel is all that can only go together; number 0 is everything that stays.

    Attributes:
        count: numbers there are, 0 included.
        made: layer with weights -> the channel of each of its outputs.
        cuts, settings, costs, reads: as the rules told, `units` now being numbers of channels.
        groups: the channels that can go.
        protected: layer with weights -> why outputs of it, or what it holds inside, have to stay.
    """

    count: int
    made: dict[str, np.ndarray]
    cuts: list[Cut]
    settings: list[Setting]
    costs: list[Cost]
    reads: list[Read]
    groups: list[Group]
    protected: dict[str, str]

    @cached_property
    def all(self) -> np.ndarray:
        """Everything stays, bool [count]."""
        return np.ones(self.count, bool)


def trace_channels(model: Any) -> Channels:
    """Find the channels of a flat tf_keras model."""
    graph, findings = FlatGraph(model), Findings()
    lanes: dict[int, Lane] = {id(tensor): _fixed(tensor) for tensor in graph.inputs}
    for node in graph.nodes:
        given = _pass(node, [lanes[id(tensor)] for tensor in node.inputs], findings)
        for index, tensor in enumerate(node.outputs):
            lanes[id(tensor)] = given.get(index) or _fixed(tensor)
    for tensor in graph.outputs:
        findings.ties.protect(lanes[id(tensor)].units, _CLASSES)
    findings.settle()
    return _resolved(findings, graph)


def _pass(node: Node, lanes: list[Lane], findings: Findings) -> dict[int, Lane]:
    """What lies along the outputs of a call."""
    passing = Passing(node, lanes, findings)
    rule = RULES.get(node.kind) or rule_of(node.kind)
    reason = _NO_RULE.format(kind=node.kind)
    if rule is not None:
        try:
            rule(passing)
        except NotFollowedError as error:
            reason = str(error)
        else:
            return passing.given
    passing.refuse(reason)
    return {}


def _fixed(tensor: Any) -> Lane:
    return Lane(-1, np.zeros(tensor.shape[-1] or 0 if len(tensor.shape) > 1 else 0, np.int64))


def _resolved(findings: Findings, graph: FlatGraph) -> Channels:
    """The units as numbers of channels: those that are tied have one, those that stay have 0."""
    roots, reasons = findings.ties.roots(), findings.ties.reasons()
    free = np.unique([root for root in np.unique(roots) if root != FIXED and root not in reasons])
    numbers = np.zeros(len(roots), np.int64)
    if free.size:
        places = np.minimum(np.searchsorted(free, roots), len(free) - 1)
        numbers = np.where(free[places] == roots, places + 1, FIXED)

    def numbered(values: Iterable[Any], *names: str) -> list[Any]:
        return [replace(value, **{name: numbers[getattr(value, name)] for name in names}) for value in values]

    made = {layer.name: numbers[units] for layer, units in findings.made.values()}
    protected = {
        layer.name: reason
        for layer, units in findings.made.values()
        for reason in [reasons.get(root) for root in roots[units] if root in reasons][:1]
        if reason is not None
    }
    for layer in dict.fromkeys(node.layer for node in graph.nodes if node.layer.weights):
        if (reason := findings.refused.get(id(layer))) is not None:
            protected.setdefault(layer.name, reason)
    reads = [
        replace(read, lane=Lane(read.lane.axis, numbers[read.lane.units]), levelled=levelled)
        for read, levelled in _distinct(findings.reads, graph)
    ]
    cuts, costs = numbered(findings.cuts.values(), "units"), numbered(findings.costs, "ins", "outs")
    settings = numbered(findings.settings.values(), "units")
    return Channels(len(free) + 1, made, cuts, settings, costs, reads, _groups(len(free) + 1, made, cuts), protected)


def _distinct(reads: list[Read], graph: FlatGraph) -> list[tuple[Read, bool]]:
    """Each tensor once, however many kernels take it, and whether BatchNorms take the means of all that they make of it."""
    found = {id(read.tensor): read for read in reads}
    together = [[_is_levelled(graph, other.made) for other in reads if other.tensor is one.tensor] for one in found.values()]
    return [(read, all(levelled)) for read, levelled in zip(found.values(), together, strict=True)]


def _is_levelled(graph: FlatGraph, tensor: Any) -> bool:
    """Whether a tensor goes to a BatchNorm alone, and to one that goes by the batch."""
    taker = graph.sole_consumer(tensor, through_inert=False)
    return taker is not None and goes_by_batch(taker.layer)


def _groups(count: int, made: dict[str, np.ndarray], cuts: list[Cut]) -> list[Group]:
    """The channels that go the same ways: as many places of each axis of each weight, and made by the same layers."""
    ways: list[list[int]] = [[] for _ in range(count)]
    for index, cut in enumerate(cuts):
        for channel, places in zip(*np.unique(cut.units, return_counts=True), strict=True):
            ways[channel] += [index, int(places)]
    members: dict[tuple[int, ...], list[int]] = {}
    for channel in range(1, count):
        members.setdefault(tuple(ways[channel]), []).append(channel)
    return [
        Group(tuple(layer for layer, units in made.items() if channels[0] in units), np.array(channels))
        for channels in members.values()
    ]
