"""Pruning: masks over the weights of least magnitude, on a schedule that knows how many steps there really are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgecls.records.recipe import TWO_OF_FOUR, UNSTRUCTURED, Pruning
from edgecls.training.held import HeldKernels

_UPDATES = 20  # of the masks while the sparsity rises: finer ones change nothing but the time they take


@dataclass(frozen=True)
class PruningSchedule:
    """When the masks are renewed, and how sparse they are then.

    Attributes:
        steps: training steps there will be, at least 1.
    """

    recipe: Pruning
    steps: int

    @property
    def ramp(self) -> int:
        """Number of steps after which the sparsity is reached, 1..steps."""
        return 1 if self.recipe.schedule == "constant" else max(1, round(self.recipe.end * self.steps))

    def is_update(self, step: int) -> bool:
        """Whether masks are renewed before step 0, 1, 2 …; the last of the ramp always is."""
        interval = max(1, self.ramp // _UPDATES)
        return step < self.ramp and ((step + 1) % interval == 0 or step == self.ramp - 1)

    def sparsity(self, step: int) -> float:
        """Share of zeros from that step on: what is asked, once the ramp is over."""
        left = 1 - min(1.0, (step + 1) / self.ramp)
        return self.recipe.sparsity * (1 - left**3)


def mask_renewal(held: HeldKernels, recipe: Pruning) -> Callable[[int, int], None]:
    """What training calls before each step (its number, and how many there are): new masks where the schedule wants them."""

    def renew(step: int, steps: int) -> None:
        schedule = PruningSchedule(recipe, steps)
        for layer in held.masked if schedule.is_update(step) else ():
            held.set_mask(layer, mask_of(held.kernels[layer].numpy(), schedule.sparsity(step), recipe.pattern))

    return renew


def mask_of(weights: np.ndarray, sparsity: float, pattern: str) -> np.ndarray:
    """1 for the weights that stay, 0 for those that go, of the kernel's shape, float32.

    At least `sparsity` of the units of the pattern go, rounded up to whole units: a weight, or a block. In `2:4` the two lesser of
    every four neighbours along the inputs are the ones that may go, all of them at a sparsity of 0.5.

    Args:
        weights: kernel [..., inputs, outputs], one that `refusal` has nothing against.
    """
    scores, unit = _scores(np.abs(weights), pattern)
    gone = math.ceil(sparsity * scores.size - 1e-6)  # 0.7 * 10 is a little more than 7
    mask = np.ones(scores.size, np.float32)
    if gone:
        mask[np.argpartition(scores, gone - 1, axis=None)[:gone]] = 0
    mask = mask.reshape(scores.shape)
    if unit is not None:
        mask = mask.repeat(unit[0], axis=0).repeat(unit[1], axis=1)
    return mask.reshape(weights.shape)


def refusal(shape: tuple[int, ...], pattern: str) -> str:
    """Why a kernel of this shape cannot have a pattern; empty where it can."""
    rows, columns = _unit(pattern)
    if shape[-2] % rows or shape[-1] % columns:
        return f"{shape[-2]} inputs and {shape[-1]} outputs are no multiples of the pattern {pattern}"
    return ""


def has_pattern(weights: np.ndarray, sparsity: float, pattern: str) -> bool:
    """Whether a kernel has at least the asked share of zeros, in the asked pattern."""
    zero = weights == 0
    if pattern == TWO_OF_FOUR:
        fours = np.moveaxis(zero, -2, -1).reshape(-1, 4)
        return bool((fours.sum(axis=1) >= 2).all())
    if pattern != UNSTRUCTURED:
        rows, columns = _unit(pattern)
        zero = _blocks(zero, rows, columns).all(axis=(1, 3))
    return int(zero.sum()) >= math.ceil(sparsity * zero.size - 1e-6)


def _unit(pattern: str) -> tuple[int, int]:
    if pattern == UNSTRUCTURED:
        return 1, 1
    if pattern == TWO_OF_FOUR:
        return 4, 1
    rows, _, columns = pattern.partition("x")
    return int(rows), int(columns)


def _blocks(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """[input blocks, rows, output blocks, columns]; an input block lies within one position of a convolution's window."""
    outputs = values.shape[-1]
    return values.reshape(-1, rows, outputs // columns, columns)


def _scores(magnitude: np.ndarray, pattern: str) -> tuple[np.ndarray, tuple[int, int] | None]:
    """What goes first has the least score: one for each unit of the pattern, and the unit's size where it is a block."""
    if pattern == UNSTRUCTURED:
        return magnitude, None
    if pattern == TWO_OF_FOUR:
        fours = np.moveaxis(magnitude, -2, -1)
        grouped = fours.reshape(-1, 4).astype(np.float64)
        stay = np.argsort(grouped, axis=1, kind="stable")[:, 2:]
        np.put_along_axis(grouped, stay, np.inf, axis=1)
        return np.moveaxis(grouped.reshape(fours.shape), -1, -2), None
    rows, columns = _unit(pattern)
    return _blocks(magnitude, rows, columns).sum(axis=(1, 3)), (rows, columns)
