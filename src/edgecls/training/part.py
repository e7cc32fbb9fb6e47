"""Images: those of one part of a training, among all of their source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecls.data import ImageSet, PixelFile


@dataclass(frozen=True)
class Images:
    """Images of one part: those of `chosen` among all of their source.

    Attributes:
        chosen: ascending indices.
        labels: class index int64 [N], or multi-hot uint8 [N, classes], of all of the source.
    """

    source: ImageSet
    chosen: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def pixels(self) -> PixelFile:
        """Of all of the source."""
        return self.source.pixels

    @property
    def own_labels(self) -> np.ndarray:
        """Of those that were chosen."""
        return self.labels[self.chosen]

    @classmethod
    def all_of(cls, source: ImageSet) -> Images:
        """Every image of a source that has labels."""
        labels = source.labels
        assert labels is not None
        return cls(source, np.arange(len(labels)), labels)
