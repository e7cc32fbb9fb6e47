"""Core ML packages by Core ML itself, which exists on macOS only."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from edgecls.artifact import OutputKind
from edgecls.errors import ArtifactError, UnsupportedOperationError, UnsupportedPlatformError
from edgecls.extras import require
from edgecls.formats.mlpackage import class_labels, features, image_color, open_package
from edgecls.image_spec import ColorOrder, ImageSpec
from edgecls.metadata import ArtifactMetadata
from edgecls.runners.border import InputTensor, output_kind, read_input, read_output, require_single


class CoreMLRunner:
    """An .mlpackage, opened. Core ML chooses the processor and the threads itself.

    Raises:
        ArtifactError: damaged, or no image classifier.
        UnsupportedPlatformError: this is no macOS.
        UnsupportedOperationError: this macOS cannot load it.
        MissingExtraError: coremltools is not installed.
    """

    def __init__(self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None, threads: int) -> None:
        _require_macos(path)
        package = open_package(path)
        inputs, outputs = features(package.spec, "input"), features(package.spec, "output")
        require_single(path, "input", [item.name for item in inputs])
        self._source, self._labels = inputs[0], class_labels(package)
        self._record, self._input = record, None
        if self._is_image:
            self.spec = spec or (record.image_spec if record else _image_spec(path, self._source.type.imageType))
        elif record is not None:
            self.spec = record.image_spec  # written by edgecls: an array of pixels, preprocessed inside
        else:
            shape = [int(size) for size in self._source.type.multiArrayType.shape]
            self._input = read_input(path, shape[1:], given=spec, record=None)
            self.spec = self._input.spec
        self._target = package.spec.description.predictedProbabilitiesName or _only_array(path, outputs)
        self.outputs = record.outputs if record else len(self._labels) or _vector_length(path, outputs, self._target)
        self.output_kind: OutputKind = output_kind(record, self.outputs)
        self._model = _load(path)
        self.prepare(np.zeros((1, self.spec.height, self.spec.width, self.spec.channels), np.uint8))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs], one image at a time. An image input takes pixels rounded to 8 bits."""
        scores = np.empty((len(images), self.outputs), np.float32)
        for index in range(len(images)):
            scores[index] = self._scores(self._model.predict(self._feed(images[index : index + 1])))
        return scores

    def prepare(self, image: np.ndarray) -> None:
        """Keep one image [1, H, W, C] ready as the model's input."""
        self.invoke = functools.partial(self._model.predict, self._feed(image))  # the engine's own call, nothing around it

    @property
    def _is_image(self) -> bool:
        return self._source.type.WhichOneof("Type") == "imageType"

    def _feed(self, image: np.ndarray) -> dict[str, Any]:
        name = self._source.name
        if self._is_image:
            # Core ML takes an RGB image for a BGR input too, and turns the channels itself
            pixels = np.clip(np.rint(image[0]), 0, 255).astype(np.uint8)
            return {name: Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)}
        tensor: InputTensor | None = self._input
        return {name: image.astype(np.float32) if tensor is None else tensor.feed(image)}

    def _scores(self, answer: dict[str, Any]) -> np.ndarray:
        """The score vector of an answer, as the source model gives it: a single output became two classes in the package."""
        found = answer[self._target]
        scores = [found[label] for label in self._labels] if isinstance(found, dict) else found
        values = np.asarray(scores, np.float64).reshape(-1)
        if self._record is None or self._record.outputs != 1:
            return values
        if self._record.output_kind == "logits":
            smallest = np.finfo(np.float64).tiny
            return np.log(np.maximum(values[1:], smallest)) - np.log(np.maximum(values[:1], smallest))
        return values[1:]


def _require_macos(path: Path) -> None:
    if sys.platform != "darwin":
        found = f"{path.name} on {sys.platform}, and Core ML executes on macOS only"
        raise UnsupportedPlatformError("macOS", found, "open it there, or look into it here with `edgecls inspect`")


def _load(path: Path) -> Any:
    with _without_tensorflow():
        coremltools: ModuleType = require("coremltools")
    model = coremltools.models.MLModel(str(path))
    if getattr(model, "__proxy__", None) is None:
        reason = str(getattr(model, "_framework_error", None) or "it needs a newer macOS")[:300]
        raise UnsupportedOperationError("a package this macOS can load", f"{path}: {reason}", "convert it for an older target")
    return model


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """coremltools imports TensorFlow, PyTorch and scikit-learn where they are installed; executing a package needs none of them."""
    hidden = [name for name in ("tensorflow", "torch", "sklearn") if name not in sys.modules and "coremltools" not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as the import system marks a module that must not be found
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def _image_spec(path: Path, image: Any) -> ImageSpec:
    """The spec of a foreign package's image input: pixels enter as they are, the model does the rest."""
    order: ColorOrder = {"GRAY": "GRAY", "RGB": "RGB", "BGR": "BGR"}.get(image_color(image), "RGB")  # type: ignore[assignment]
    note = f"{path.name} takes images: pixels enter as they are"
    channels = 1 if order == "GRAY" else 3
    return ImageSpec(
        height=image.height, width=image.width, channels=channels, color_order=order, provenance="in-model", note=note
    )


def _only_array(path: Path, outputs: list[Any]) -> str:
    arrays = [output.name for output in outputs if output.type.WhichOneof("Type") == "multiArrayType"]
    require_single(path, "output of scores", arrays)
    return arrays[0]


def _vector_length(path: Path, outputs: list[Any], name: str) -> int:
    output = next(item for item in outputs if item.name == name)
    if output.type.WhichOneof("Type") != "multiArrayType":
        raise ArtifactError(
            "class labels for a dictionary of scores", f"{path} without a classify operation", "name a classifier"
        )
    return read_output(path, [int(size) for size in output.type.multiArrayType.shape])
