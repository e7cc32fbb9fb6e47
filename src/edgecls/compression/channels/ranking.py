"""Ranking: which channels go, so that so many multiply-accumulates go and the least is lost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from edgecls.compression.channels.cost import CostModel
from edgecls.compression.channels.trace import Channels

LEAST_KEPT = 1 / 8  # of the channels of a group, and so of each layer
NEAR = 0.01  # of the multiply-accumulates: near enough to what was asked


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        stays: bool [channels.count].
        macs: multiply-accumulates that are left.
    """

    stays: np.ndarray
    macs: float


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
    return Choice(stays, search.cost.macs(left))


class _Search:
    """Looks for how many channels of each group are to be left."""

    def __init__(
        self, channels: Channels, scores: np.ndarray, macs: float, multiple: int, sizes: Counter[tuple[str, ...]]
    ) -> None:
        self.cost = CostModel(channels)
        self.steps = [_Steps(group.channels, scores, sizes[group.layers], multiple) for group in channels.groups]
        near = NEAR * self.cost.macs(self.cost.sizes)
        self._least, self._most, self._macs = macs - near, macs + near, macs

    def run(self) -> np.ndarray:
        """How many are left, [groups]: as many costs as asked where that can be met, else the nearest that was found."""
        floors, found = np.zeros(len(self.steps), np.int64), []
        while True:
            left, last = self._take(floors)
            left = self._give_back(left)
            found.append(left)
            if last is None or self.cost.macs(left) >= self._least:
                break
            floors[last[0]] = last[1]  # that step goes too far, whatever is given back for it: do without it
        return min(found, key=lambda left: abs(self.cost.macs(left) - self._macs))

    def _take(self, floors: np.ndarray) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Take the step that loses least for what it saves, again and again; the last one, and what its group had left before it."""
        left, last = self.cost.sizes.copy(), None
        now = self.cost.macs(left)
        while now > self._most:
            step = np.array([one.next(count) for one, count in zip(self.steps, left, strict=True)])
            loss = np.array([one.loss(count) for one, count in zip(self.steps, left, strict=True)])
            loss[left - step < floors] = np.inf
            after = self.cost.macs_without(left, step)
            rate = loss / np.maximum(now - after, 1)
            if not np.isfinite(rate).any():
                return left, None
            best = int(np.argmin(rate))
            last = best, int(left[best])
            left[best] -= step[best]
            now = float(after[best])
        return left, last

    def _give_back(self, left: np.ndarray) -> np.ndarray:
        """Where too many are gone, give back the steps that lost most for what they saved."""
        now = self.cost.macs(left)
        while now < self._least:
            back = np.array([one.taken(count) for one, count in zip(self.steps, left, strict=True)])
            loss = np.array([one.loss(count + last) for one, count, last in zip(self.steps, left, back, strict=True)])
            after = self.cost.macs_without(left, -back)
            rate = np.where((back > 0) & (after <= self._most), loss / np.maximum(after - now, 1), 0.0)
            if not rate.any():
                break
            best = int(np.argmax(rate))
            left[best] += back[best]
            now = float(after[best])
        return left


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
        """How many go next, so that a multiple is left."""
        return left % self._multiple or self._multiple

    def taken(self, left: int) -> int:
        """How many went last; none where all are there."""
        return min(self._multiple, len(self._order) - left)

    def loss(self, left: int) -> float:
        """The share that goes of what the group has left to lose; infinite where they have to stay.

        A share, since the effects of single channels do not add up: the fewer are left, the more each of them carries.
        """
        step, gone = self.next(left), len(self._order) - left
        lost = self._sums[gone + step] - self._sums[gone] if left - step >= self._fewest else math.inf
        rest = self._sums[-1] - self._sums[gone]
        return float(lost / rest) if 0 < lost < math.inf else float(lost)

    def gone(self, left: int) -> np.ndarray:
        """The channels that are gone when so many are left."""
        return self._order[: len(self._order) - left]
