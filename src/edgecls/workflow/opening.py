"""How `convert` and `compress` begin: the model in memory, what its images must look like, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgecls.data.digits import DIGITS_NAME
from edgecls.data.imagenet import CLASSES, IMAGENET, imagenet_labels
from edgecls.data.label_file import default_labels, read_labels
from edgecls.errors import DataError
from edgecls.records.artifact import LabelsSource
from edgecls.records.image_spec import ImageSpec

if TYPE_CHECKING:
    from edgecls.models import LoadedModel


@dataclass(frozen=True)
class ModelOptions:
    """What a user may say of a model that is opened.

    Attributes:
        model: file or folder of the classifier.
        labels: file with the names of the classes, or `imagenet`.
        weights: of a model whose file holds its architecture alone.
        preprocess, fit, filter: how pictures become model inputs, as `ImageSpec.with_choices` takes them; None for what is assumed.
        model_output: of a model with several outputs, those to take.
        signature: of a SavedModel with several, the serving function.
        input_size: height x width of the images, as `224x224`, where the model leaves them open.
        custom_objects: Python file with classes and functions that the model names; run, where `allow_code` is given.
    """

    model: Path
    labels: Path | None = field(default=None, kw_only=True)
    weights: Path | None = field(default=None, kw_only=True)
    preprocess: str | None = field(default=None, kw_only=True)
    fit: str | None = field(default=None, kw_only=True)
    filter: str | None = field(default=None, kw_only=True)
    model_output: str | None = field(default=None, kw_only=True)
    signature: str | None = field(default=None, kw_only=True)
    input_size: str | None = field(default=None, kw_only=True)
    custom_objects: Path | None = field(default=None, kw_only=True)
    allow_code: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Opened:
    """A model as it was opened."""

    model: LoadedModel
    spec: ImageSpec
    labels: list[str]
    labels_source: LabelsSource


def settled_flags(options: ModelOptions) -> dict[str, object]:
    """What options say that a variant has settled, by their flags; None where nothing is said."""
    return {
        "--labels": options.labels,
        "--preprocess": options.preprocess,
        "--fit": options.fit,
        "--filter": options.filter,
        "--weights": options.weights,
        "--output": options.model_output,
        "--signature": options.signature,
        "--input-size": options.input_size,
        "--custom-objects": options.custom_objects,
    }


def require_paths(paths: Mapping[str, Path | None]) -> None:
    """Refuse paths where nothing is; what the package brings goes by its name.

    Args:
        paths: by the flag that takes them.

    Raises:
        DataError: there is nothing.
    """
    for flag, path in paths.items():
        bundled = IMAGENET if flag == "--labels" else DIGITS_NAME
        if path is not None and not path.exists() and str(path) != bundled:
            raise DataError(f"a file or folder for {flag}", f"nothing at {path}", "check the path")


def open_model(options: ModelOptions, path: Path | None = None) -> Opened:
    """Open a model as the user says; `path` is where it lies if that is not `options.model`.

    Raises:
        InputError: no model, labels or preprocessing that could be taken.
        StageError: reading it failed.
    """
    from edgecls.models import load_model

    model = load_model(
        path or options.model,
        weights=options.weights,
        allow_code=options.allow_code,
        output=options.model_output,
        signature=options.signature,
        input_size=options.input_size,
        custom_objects=options.custom_objects,
    )
    spec = model.image_spec.with_choices(options.preprocess, options.fit, options.filter)
    labels, source = _labels(options, model)
    return Opened(model, spec, labels, source)


def _labels(options: ModelOptions, model: LoadedModel) -> tuple[list[str], LabelsSource]:
    classes = max(model.outputs, 2)  # one sigmoid output decides between two classes
    if options.labels:
        return read_labels(options.labels, classes), "file"
    if model.labels:
        return model.labels, "file"
    if model.application and classes == CLASSES:
        model.notes.append(
            f"Assumed ImageNet's names for the 1,000 classes, as {model.application} of keras.applications is trained; "
            "--labels FILE overrides."
        )
        return imagenet_labels(), "assumed"
    return default_labels(classes), "default"
