"""Source: where pixels come from. Each kind of input is one class that answers the same few questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Role = Literal["calibration", "training", "validation", "data"]


@dataclass(frozen=True)
class Skipped:
    """One file that is not among the images, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """Pixels [H, W, C] of one image; `remark` where something about it is worth a note (counted, not listed)."""

    pixels: np.ndarray
    remark: str = ""


@dataclass(frozen=True)
class Labelling:
    """What is known about the classes of a source.

    Attributes:
        labels: class index per image, int64 [N], or multi-hot rows, uint8 [N, classes]; None where the images have none.
        groups: group per image to draw balanced subsets from, even where groups are no classes of the model.
        class_names: name per class index, empty where unknown.
        note: how labels were found, or why there are none.
    """

    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    note: str = ""


class Source(Protocol):
    """Images in a fixed order, read in that order."""

    total: int
    dtype: str
    labelling: Labelling
    notes: list[str]
    skipped: list[Skipped]

    def read(self, chosen: np.ndarray) -> Iterator[Decoded | Skipped]:
        """One answer for each index of `chosen` (ascending), in order."""
        ...

    def name(self, index: int) -> str:
        """What people call this image: its file, empty where it has none."""
        ...
