"""Runner: one opened artifact that answers with scores. Engines are in `edgecls.runners`; evaluation sees the protocol alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec


class Runner(Protocol):
    """One artifact, opened by its engine.

    Attributes:
        spec: the images it takes; its `note` says where an assumption was made.
        outputs: length of the score vector.
        output_kind: what the scores are; where the file does not say, by the operation that makes them: `logits` of a dense layer, a
            convolution or a mean, `sigmoid` of a sigmoid and of a single output, else `softmax`.
        labels: the classes' names, where the file itself gives them to its engine; empty otherwise.
        stand_in: what computes where the artifact's own engine does not exist, whose time and memory are not the artifact's; empty where
            it does.
    """

    spec: ImageSpec
    outputs: int
    output_kind: OutputKind
    labels: tuple[str, ...]
    stand_in: str

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C], 0..255, to float32 scores [N, outputs]; integer outputs are dequantized."""
        ...

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head, the scores first, where the file holds several (`ArtifactMetadata.heads`)."""
        ...

    def prepare(self, image: np.ndarray) -> None:
        """Put images [N, H, W, C], as many as the batch, into the engine: what is not timed."""
        ...

    def set_batch(self, batch: int) -> int:
        """Have `invoke` take so many images in one call; the number it then takes, 1 where the file allows no other."""
        ...

    def engine(self) -> Engine:
        """What runs the artifact, as the engine itself tells."""
        ...

    def invoke(self) -> object:
        """Run one inference of what was prepared: what is timed, so nothing but the engine's own call."""
        ...
