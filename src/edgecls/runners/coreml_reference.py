"""Core ML packages where Core ML does not exist: by the reference, which computes the same program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecls.coreml_reference import open_program
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.border import computing
from edgecls.runners.coreml_border import CoreMLBorder


class CoreMLReferenceRunner:
    """An .mlpackage, opened by the reference.

    Raises:
        ArtifactError: damaged, or no image classifier.
        UnsupportedOperationError: it holds an operation that the reference does not compute.
        MissingExtraError: coremltools is not installed.
    """

    def __init__(self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None, threads: int) -> None:
        self._border = CoreMLBorder(path, spec, record)
        self.spec, self.outputs = self._border.spec, self._border.outputs
        self.output_kind: OutputKind = self._border.output_kind
        self.labels = tuple(self._border.labels)
        self._program = open_program(path, threads=threads)
        self.stand_in = f"the Core ML reference{f', {self._program.note}' if self._program.note else ''}"
        self._path = path
        with computing(path):
            self.prepare(np.zeros((1, self.spec.height, self.spec.width, self.spec.channels), np.uint8))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs]. An image input takes pixels rounded to 8 bits."""
        return self._predict(images, [])[0]

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head."""
        return self._predict(images, self._border.others)

    def _predict(self, images: np.ndarray, others: list[str]) -> list[np.ndarray]:
        with computing(self._path):
            values = images if self._border.is_image else self._border.array(images)
            found = self._program.run(values, [self._border.target, *others])
            heads = [found[name].reshape(len(images), -1).astype(np.float32) for name in (self._border.target, *others)]
            return [self._border.source_scores(heads[0]).astype(np.float32), *heads[1:]]

    def prepare(self, image: np.ndarray) -> None:
        """Keep images [N, H, W, C] ready."""
        self._image = image

    def set_batch(self, batch: int) -> int:
        """A package takes one image."""
        return 1

    def engine(self) -> Engine:
        """No engine of the package's own."""
        return Engine(name=self.stand_in, note="a stand-in")

    def invoke(self) -> object:
        """Run it on the prepared image. Its time is not the package's: see `stand_in`."""
        return self.predict(self._image)
