"""Runner: one opened artifact that answers with scores. Engines are in `edgecls.runners`; evaluation sees the protocol alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgecls.artifact import OutputKind
from edgecls.image_spec import ImageSpec


class Runner(Protocol):
    """One artifact, opened by its engine.

    Attributes:
        spec: the images it takes; its `note` says where an assumption was made.
        outputs: length of the score vector.
        output_kind: what the scores are; `softmax` (or `sigmoid` for a single output) where the file does not say.
        stand_in: what computes where the artifact's own engine does not exist, whose time and memory are not the artifact's; empty where
            it does.
    """

    spec: ImageSpec
    outputs: int
    output_kind: OutputKind
    stand_in: str

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C], 0..255, to float32 scores [N, outputs]; integer outputs are dequantized."""
        ...

    def prepare(self, image: np.ndarray) -> None:
        """Put one image [1, H, W, C] into the engine: what is not timed."""
        ...

    def invoke(self) -> object:
        """Run one inference of what was prepared: what is timed, so nothing but the engine's own call."""
        ...
