"""Passing: how the channels of one call's inputs become those of its outputs, as the rules of `layers` and `functions` tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecls.compression.channels.ties import FIXED, Ties
from edgecls.training.flat_graph import Node


class NotFollowedError(Exception):
    """The channels cannot be followed through a call; the text says why."""


@dataclass(frozen=True)
class Lane:
    """The units along one axis of a tensor.

    Attributes:
        axis: counted from the last, -1.
        units: of each position along it.
    """

    axis: int
    units: np.ndarray

    @property
    def stays(self) -> bool:
        """Whether nothing along it can go."""
        return not (self.units != FIXED).any()


@dataclass(frozen=True)
class Cut:
    """An axis of a weight that has a place for each unit.

    Attributes:
        makes: whether these are the outputs of a kernel.
    """

    layer: Any
    weight: str
    axis: int
    units: np.ndarray
    makes: bool = False


@dataclass(frozen=True)
class Setting:
    """A value of a layer's config that follows from how many units stay."""

    layer: Any
    name: str
    units: np.ndarray
    value: Callable[[int], Any]


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of a call: a factor times its inputs times its outputs, or times the latter alone where a kernel is depthwise.

    Attributes:
        call: the name of the node.
        shape: of its input, without the batch.
        ins: units of the inputs that one output takes, empty for a depthwise kernel.
        outs: units of the outputs.
    """

    layer: Any
    call: str
    shape: tuple[int | None, ...]
    factor: float
    ins: np.ndarray
    outs: np.ndarray


@dataclass(frozen=True)
class Read:
    """A tensor that a kernel takes, with the units along its channels.

    Attributes:
        made: the tensor that the kernel makes of it.
        levelled: whether all kernels that take it give to a BatchNorm that goes by the batch, which takes means away.
    """

    tensor: Any
    lane: Lane
    made: Any
    levelled: bool = False


@dataclass
class Findings:
    """What the rules told about all calls.

    Attributes:
        made: id of a layer -> (layer, units) it makes.
        refused: id of a layer -> why channels cannot be followed through one of its calls.
    """

    ties: Ties = field(default_factory=Ties)
    made: dict[int, tuple[Any, np.ndarray]] = field(default_factory=dict)
    cuts: dict[tuple[int, str, int], Cut] = field(default_factory=dict)
    settings: dict[tuple[int, str], Setting] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def settle(self) -> None:
        """Protect what layers hold that are called once where channels cannot be followed, wherever else they are called."""
        held = [(item.layer, item.units) for item in (*self.cuts.values(), *self.settings.values())]
        for layer, units in (*self.made.values(), *held):
            if (reason := self.refused.get(id(layer))) is not None:
                self.ties.protect(units, reason)


class Passing:
    """One call: what rules ask about its inputs, and what they tell about it."""

    def __init__(self, node: Node, lanes: list[Lane], findings: Findings) -> None:
        self.node, self.layer, self.lanes = node, node.layer, lanes
        self._findings = findings
        self.given: dict[int, Lane] = {}

    def shape(self, index: int = 0) -> tuple[int | None, ...]:
        """Of an input, without the batch."""
        return tuple(self.node.inputs[index].shape[1:])

    def units(self, axis: int = -1, index: int = 0) -> np.ndarray:
        """Along an axis of an input.

        Raises:
            NotFollowedError: what can go there lies along another axis.
        """
        lane = self.lanes[index]
        if lane.axis == axis:
            return lane.units
        if not lane.stays:
            raise NotFollowedError("it works on another axis than that of the channels")
        return np.zeros(self.shape(index)[axis] or 0, np.int64)

    def new(self, count: int) -> np.ndarray:
        """The units that the layer makes; the same ones at each call of a shared layer."""
        made, key = self._findings.made, id(self.layer)
        if key not in made:
            made[key] = self.layer, self._findings.ties.new(count)
        return made[key][1]

    def give(self, units: np.ndarray, axis: int = -1, index: int = 0) -> None:
        """Say what lies along an axis of an output."""
        self.given[index] = Lane(axis, units)

    def keep(self, reason: str, index: int = 0) -> None:
        """Say that everything along the channels of an input has to stay."""
        self._findings.ties.protect(self.lanes[index].units, f"{self.node.name}: {reason}")

    def tie(self, first: np.ndarray, second: np.ndarray) -> None:
        """Say that units go together, pairwise."""
        self._findings.ties.tie(first, second, self.layer.name)

    def cut(self, weight: str, axis: int, units: np.ndarray, *, makes: bool = False) -> None:
        """Say that an axis of a weight, counted from the last, has a place for each unit. A layer may lack the weight.

        Args:
            makes: whether these are the outputs of a kernel.
        """
        if getattr(self.layer, weight, None) is None:
            return
        cuts, key = self._findings.cuts, (id(self.layer), weight, axis)
        if key in cuts:
            self.tie(cuts[key].units, units)
        cuts.setdefault(key, Cut(self.layer, weight, axis, units, makes))

    def setting(self, name: str, units: np.ndarray, value: Callable[[int], Any] = int) -> None:
        """Say that a value of the layer's config follows from the number of these units."""
        settings, key = self._findings.settings, (id(self.layer), name)
        if key in settings:
            if settings[key].units.shape != units.shape:
                raise NotFollowedError("it is shared by tensors of several shapes")
            self.tie(settings[key].units, units)
        settings.setdefault(key, Setting(self.layer, name, units, value))

    def refuse(self, reason: str) -> None:
        """Say that the channels cannot be followed through the call: all that enters it stays, and all that its layer ever holds."""
        for lane in self.lanes:
            self._findings.ties.protect(lane.units, f"{self.node.name}: {reason}")
        self._findings.refused[id(self.layer)] = f"{self.node.name}: {reason}"

    def cost(self, factor: int, ins: np.ndarray, outs: np.ndarray) -> None:
        """Say how many multiply-accumulates the call takes for each pair of an input and an output; none of the first: for each output."""
        self._findings.costs.append(Cost(self.layer, self.node.name, self.shape(), factor, ins, outs))

    def read(self) -> None:
        """Say that a kernel takes the input."""
        self._findings.reads.append(Read(self.node.inputs[0], self.lanes[0], self.node.outputs[0]))
