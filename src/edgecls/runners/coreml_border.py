"""What Core ML and its reference share: which image a package takes, and the scores that come out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats.coreml.read import class_labels, features, image_color, open_package
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ColorOrder, ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.border import InputTensor, output_kind, read_input, read_output, require_single


class CoreMLBorder:
    """A package as a classifier of images.

    Attributes:
        spec: the image it takes.
        source: the name of its input.
        is_image: whether that is an image, whose pixels enter as they are; otherwise it is an array.
        target: the name of the output that holds the scores.
        labels: the class labels, in the order of the scores.
        outputs, output_kind: of the source model's scores.
        others: names of the outputs that hold further heads, as the record tells.

    Raises:
        ArtifactError: damaged, or no image classifier.
        MissingExtraError: coremltools is not installed.
    """

    def __init__(self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None) -> None:
        package = open_package(path)
        inputs, outputs = features(package.spec, "input"), features(package.spec, "output")
        require_single(path, "input", [item.name for item in inputs])
        self.source, self.labels = inputs[0].name, class_labels(package)
        self.is_image = inputs[0].type.WhichOneof("Type") == "imageType"
        self._record, self._input = record, None
        if self.is_image:
            self.spec = spec or (record.image_spec if record else _image_spec(path, inputs[0].type.imageType))
        elif record is not None:
            written = record.image_spec  # by edgecls: an array of pixels, preprocessed inside
            self.spec = written.with_resizing_of(spec) if spec else written
        else:
            shape = [int(size) for size in inputs[0].type.multiArrayType.shape]
            self._input = read_input(path, shape[1:], given=spec, record=None)
            self.spec = self._input.spec
        self.target = package.spec.description.predictedProbabilitiesName or _only_array(path, outputs)
        self.outputs = record.outputs if record else len(self.labels) or _vector_length(path, outputs, self.target)
        self.output_kind: OutputKind = output_kind(path, record, self.outputs)
        self.others = [head.output for head in record.heads[1:]] if record else []
        if lacking := [name for name in self.others if name not in [item.name for item in outputs]]:
            raise ArtifactError(
                f"an output {lacking[0]}, as its record says", f"{path} without", "it was changed: convert it again"
            )

    def array(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] as the values of an array input, float32."""
        tensor: InputTensor | None = self._input
        return images.astype(np.float32) if tensor is None else tensor.feed(images)

    def source_scores(self, values: np.ndarray) -> np.ndarray:
        """The package's scores [N, classes] as the source model gives them: a single output became two classes in the package."""
        return values[:, 1:] if self._record is not None and self._record.outputs == 1 else values


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
