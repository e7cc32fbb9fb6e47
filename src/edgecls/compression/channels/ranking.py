"""Ranking: which channels go, so that so many multiply-accumulates go and the least is lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgecls.compression.channels.cost import CostModel
from edgecls.compression.channels.trace import Channels

LEAST_KEPT = 1 / 8  # of the channels of a group, and so of each layer
_NEAR_ENOUGH = 0.01  # of the multiply-accumulates: near enough to what was asked
_FEW = 64  # groups: with more of them steps are small, and one at a time is enough
_GAIN = 0.01  # of the loss: less is not worth another look


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        stays: bool [channels.count].
        macs: multiply-accumulates that are left.
        multiple: of which as many stay in each group, where it is large enough.
    """

    stays: np.ndarray
    macs: float
    multiple: int


def sizes_of(channels: Channels) -> Counter[tuple[str, ...]]:
    """Layers -> how many channels go through just these."""
    sizes: Counter[tuple[str, ...]] = Counter()
    for group in channels.groups:
        sizes[group.layers] += len(group.channels)
    return sizes


def choose(channels: Channels, scores: np.ndarray, macs: float, multiple: int, sizes: Counter[tuple[str, ...]]) -> Choice:
    """Take channels away, always those whose loss is the least for what they save, until no more multiply-accumulates are left than asked.

    Args:
        scores: of each channel, [channels.count]: what its loss costs, comparable across groups; infinite for one that has to stay.
        multiple: how many channels of a group stay is a multiple of this, halved until the group has four times as many.
        sizes: of the groups before anything went, by their layers.
    """
    search = _Search(channels, scores, macs, multiple, sizes)
    left = search.run()
    stays = channels.all.copy()
    for one, count in zip(search.steps, left, strict=True):
        stays[one.gone(count)] = False
    return Choice(stays, search.cost.macs(left), multiple)


def strain(share: float) -> float:
    """What the loss of a share of a group's importance costs, beside the whole of it.

    The logarithm of what is left, squared. Logarithms, since the effects of single channels do not add up: the fewer are left, the more
    each of them carries. Squared, since a trained network lies at the bottom of its loss, which rises with the square of what disturbs it;
    disturbances of several groups, which are not alike, add in squares too.
    """
    return math.log1p(-share) ** 2


class _Search:
    """Looks for how many channels of each group are to be left."""

    def __init__(
        self, channels: Channels, scores: np.ndarray, macs: float, multiple: int, sizes: Counter[tuple[str, ...]]
    ) -> None:
        self.cost = CostModel(channels)
        self.steps = [_Steps(group.channels, scores, sizes[group.layers], multiple) for group in channels.groups]
        whole = self.cost.macs(self.cost.sizes)
        self._near = min(_NEAR_ENOUGH * whole, max(whole - macs, 0) / 4)  # else a small share would be near to no share at all
        self._macs = macs

    def run(self) -> np.ndarray:
        """How many are left, [groups]: as many costs as asked where that can be met, else the nearest that was found."""
        left = self._take()
        while len(left) and (better := self._better(left)) is not None:
            left = better
        return left

    def _take(self) -> np.ndarray:
        """Take the step that loses least for what it saves, again and again, until enough is gone."""
        left = self.cost.sizes.copy()
        now = self.cost.macs(left)
        while now > self._macs + self._near:
            after, change, moved = self._moves(left, -1)
            rate = change / np.maximum(now - after, 1)
            if not np.isfinite(rate).any():
                break
            best = int(np.argmin(rate))
            left[best] = moved[best]
            now = float(after[best])
        return left

    def _better(self, left: np.ndarray) -> np.ndarray | None:
        """The best of what one step or two, taken or given back, make of a choice; None where that is no better.

        Steps are coarse where groups are few: the last one that was taken may go too far, and another be too much then.
        """
        far, loss = (
            self._far(np.array([self.cost.macs(left)]))[0],
            sum(one.loss(n) for one, n in zip(self.steps, left, strict=True)),
        )
        best, found = (far, loss * (1 - _GAIN)), None
        starts = [left]
        if len(self.steps) <= _FEW:
            starts += [start for direction in (-1, 1) for start in self._stepped(left, direction)]
        for start in starts:
            spent = sum(one.loss(n) for one, n in zip(self.steps, start, strict=True))
            for direction in (-1, 1):
                after, change, moved = self._moves(start, direction)
                merits = list(zip(self._far(after), spent + change, range(len(moved)), strict=True))
                *merit, place = min(merits)
                if tuple(merit) < best:
                    best, found = (merit[0], merit[1]), start.copy()
                    found[place] = moved[place]
        return found

    def _stepped(self, left: np.ndarray, direction: int) -> Iterator[np.ndarray]:
        """Every choice that is one step from another."""
        _, change, moved = self._moves(left, direction)
        for place in np.flatnonzero(np.isfinite(change)):
            start = left.copy()
            start[place] = moved[place]
            yield start

    def _moves(self, left: np.ndarray, direction: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each group's next step alone, -1 down or 1 up: the costs then, how the loss changes, how many are left; each [groups]."""
        moved = np.array([one.next(n) if direction < 0 else one.previous(n) for one, n in zip(self.steps, left, strict=True)])
        change = np.array([one.loss(to) - one.loss(n) for one, n, to in zip(self.steps, left, moved, strict=True)])
        change = np.where(moved == left, np.inf, change)
        return self.cost.macs_without(left, left - moved), change, moved

    def _far(self, macs: np.ndarray) -> np.ndarray:
        """By how much costs miss what was asked, beyond what is near enough."""
        return np.maximum(np.abs(macs - self._macs) - self._near, 0.0)


class _Steps:
    """The channels of one group, the least important first, and how many of them go at once."""

    def __init__(self, channels: np.ndarray, scores: np.ndarray, size: int, multiple: int) -> None:
        self._order = channels[np.argsort(scores[channels], kind="stable")]
        self._sums = np.concatenate([[0.0], np.cumsum(scores[self._order])])
        while multiple > 1 and size < 4 * multiple:
            multiple //= 2
        self._multiple = multiple
        self._fewest = multiple * math.ceil(math.ceil(size * LEAST_KEPT) / multiple)

    def next(self, left: int) -> int:
        """How many are left after the next step, so that they are a multiple; as many as before where no more can go."""
        after = left - (left % self._multiple or self._multiple)
        return after if after >= self._fewest else left

    def previous(self, left: int) -> int:
        """How many were left before the last step."""
        return min(left + self._multiple, len(self._order))

    def loss(self, left: int) -> float:
        """What it costs that so few are left; infinite where others have to stay."""
        gone, whole = self._sums[len(self._order) - left], self._sums[-1]
        if not gone:
            return 0.0
        if gone >= whole or math.isinf(gone):
            return math.inf
        return whole * strain(gone / whole) if math.isfinite(whole) else 0.0

    def gone(self, left: int) -> np.ndarray:
        """The channels that are gone when so many are left."""
        return self._order[: len(self._order) - left]
