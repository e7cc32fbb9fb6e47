"""Ties: units that can only go together, and those that have to stay."""

from __future__ import annotations

import numpy as np

FIXED = 0  # the unit of everything that no layer with weights made, as the image's colours


class Ties:
    """A union-find of units. A unit is one output of one layer with weights."""

    def __init__(self) -> None:
        self._parents = [FIXED]
        self._protected: list[tuple[np.ndarray, str]] = []

    def new(self, count: int) -> np.ndarray:
        """So many units that are not tied yet, int64 [count]."""
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def tie(self, first: np.ndarray, second: np.ndarray, where: str) -> None:
        """Tie units pairwise; what meets a value that stays has to stay. `where` names the layer at which they meet."""
        for one, other in np.unique(np.stack([first, second]), axis=1).T.tolist():
            if FIXED not in (one, other):
                self._parents[self._root(one)] = self._root(other)
        met = np.where(first == FIXED, second, first)[(first == FIXED) != (second == FIXED)]
        self.protect(met, f"{where} takes them together with values that stay")

    def protect(self, units: np.ndarray, reason: str) -> None:
        """Say that units have to stay."""
        units = units[units != FIXED]
        if units.size:
            self._protected.append((np.unique(units), reason))

    def roots(self) -> np.ndarray:
        """Of each unit the one that stands for all that it is tied to, int64 [units]."""
        return np.array([self._root(unit) for unit in range(len(self._parents))])

    def reasons(self) -> dict[int, str]:
        """Root -> why its units have to stay, the last reason that was given."""
        return {self._root(unit): reason for units, reason in self._protected for unit in units.tolist()}

    def _root(self, unit: int) -> int:
        parents = self._parents
        while parents[unit] != unit:
            parents[unit] = parents[parents[unit]]
            unit = parents[unit]
        return unit
