"""Core ML packages by Core ML itself, which exists on macOS only."""

from __future__ import annotations

import functools
import platform
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from edgecls.errors import UnsupportedOperationError
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.coreml_border import CoreMLBorder
from edgecls.system.extras import hidden, require


class CoreMLRunner:
    """An .mlpackage, opened. Core ML chooses the processor and the threads itself.

    Raises:
        ArtifactError: damaged, or no image classifier.
        UnsupportedOperationError: this macOS cannot load it.
        MissingExtraError: coremltools is not installed.
    """

    stand_in = ""

    def __init__(self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None, threads: int) -> None:
        self._border = CoreMLBorder(path, spec, record)
        self.spec, self.outputs = self._border.spec, self._border.outputs
        self.output_kind: OutputKind = self._border.output_kind
        self.labels = tuple(self._border.labels)
        self._model = _load(path)
        self.prepare(np.zeros((1, self.spec.height, self.spec.width, self.spec.channels), np.uint8))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs], one image at a time. An image input takes pixels rounded to 8 bits."""
        return self.predict_heads(images)[0]

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head."""
        answers = [self._model.predict(self._feed(images[index : index + 1])) for index in range(len(images))]
        scores = np.array([self._scores(answer) for answer in answers], np.float32).reshape(len(images), self.outputs)
        others = [[np.ravel(answer[name]) for answer in answers] for name in self._border.others]
        return [scores, *(np.array(values, np.float32) for values in others)]

    def prepare(self, image: np.ndarray) -> None:
        """Keep one image [1, H, W, C] ready as the model's input."""
        self.invoke = functools.partial(self._model.predict, self._feed(image))  # the engine's own call, nothing around it

    def set_batch(self, batch: int) -> int:
        """A package takes one image."""
        return 1

    def engine(self) -> Engine:
        """Core ML does not tell which of its compute units ran an operation."""
        version = platform.mac_ver()[0]
        return Engine(name="Core ML", version=version, delegate="compute units of its choice", note="macOS chooses the processor")

    def _feed(self, image: np.ndarray) -> dict[str, Any]:
        if not self._border.is_image:
            return {self._border.source: self._border.array(image)}
        # Core ML takes an RGB image for a BGR input too, and turns the channels itself
        pixels = np.clip(np.rint(image[0]), 0, 255).astype(np.uint8)
        return {self._border.source: Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)}

    def _scores(self, answer: dict[str, Any]) -> np.ndarray:
        """The score vector of an answer, as the source model gives it."""
        found = answer[self._border.target]
        scores = [found[label] for label in self._border.labels] if isinstance(found, dict) else found
        return self._border.source_scores(np.asarray(scores, np.float64).reshape(1, -1))[0]


def _load(path: Path) -> Any:
    with _without_tensorflow():
        coremltools: ModuleType = require("coremltools", "coreml")
    model = coremltools.models.MLModel(str(path))
    if getattr(model, "__proxy__", None) is None:
        reason = str(getattr(model, "_framework_error", None) or "it needs a newer macOS")[:300]
        raise UnsupportedOperationError("a package this macOS can load", f"{path}: {reason}", "convert it for an older target")
    return model


def _without_tensorflow() -> AbstractContextManager[None]:
    """coremltools imports TensorFlow, PyTorch and scikit-learn where they are installed; executing a package needs none of them."""
    return hidden(() if "coremltools" in sys.modules else ("tensorflow", "torch", "sklearn"))
