"""evaluate: one classifier, a Keras model or an artifact, on labelled images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgecls.data import ImageSet, PixelFile, open_images
from edgecls.data.label_file import default_labels, read_labels
from edgecls.data.labels import are_default
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import ArtifactError, DataError, InputError
from edgecls.evaluation.doubt import is_near_chance
from edgecls.evaluation.judged import RECALL, WORST, judge, require_recall
from edgecls.formats import detect
from edgecls.records.artifact import MANIFEST_NAME, SUFFIXES, OutputKind
from edgecls.records.evaluation import Evaluation
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.image_spec import ImageSpec
from edgecls.runners.answering import AnsweringFile
from edgecls.workflow.opening import ModelOptions, open_model, require_paths

_BATCH = 32
_OF_MODELS = ("weights", "model_output", "signature", "input_size", "custom_objects", "allow_code")


@dataclass(frozen=True)
class EvaluateOptions(ModelOptions):
    """What `edgecls evaluate` was asked; `model` may be an artifact too.

    Attributes:
        data: labelled images.
        limit: most images to take.
        recall: share of a class's images that its threshold is to find.
        positive: label of the class that ROC-AUC and threshold are of.
        worst: how many mistakes to list.
    """

    data: Path = field(kw_only=True)
    limit: int | None = field(default=None, kw_only=True)
    recall: float = field(default=RECALL, kw_only=True)
    positive: str | None = field(default=None, kw_only=True)
    worst: int = field(default=WORST, kw_only=True)


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, and the mistakes' pixels [H, W, C], 0..255, by the index of the image."""

    evaluation: Evaluation
    pictures: Mapping[int, np.ndarray]


class _Classifier(Protocol):
    spec: ImageSpec
    labels: list[str]
    output_kind: OutputKind
    outputs: int
    stand_in: str

    def scores(self, pixels: PixelFile, progress: Callable[[int, int], None]) -> np.ndarray: ...


def evaluate(options: EvaluateOptions, on_event: OnEvent = ignore) -> Evaluated:
    """Ask a classifier about labelled images and judge its answers.

    Raises:
        InputError: no classifier, labels, images or recall that could be taken.
        StageError: reading the model failed.
    """
    require_recall(options.recall)
    require_paths({"--data": options.data, "--labels": options.labels})
    with contextlib.ExitStack() as stack:
        on_event(Event(f"reading {options.model.name}"))
        classifier = stack.enter_context(_opened_file(options)) if is_artifact(options.model) else _OpenedModel(options)
        labels = _labels(options, classifier)
        images = open_images(options.data, classifier.spec, role="data", labels=labels, limit=options.limit)
        stack.callback(images.close)
        _require_labels(images, classifier)
        images.decode(lambda done, total: on_event(Event("decode", "", done, total)))
        scores = classifier.scores(images.pixels, lambda done, total: on_event(Event("answer", "", done, total)))
        assert images.labels is not None  # required above
        found = judge(
            scores,
            images.labels,
            list(images.class_names) if are_default(labels) and len(images.class_names) == len(labels) else labels,
            [images.name(index) for index in range(len(images))],
            kind=classifier.output_kind,
            positive=options.positive,
            recall=options.recall,
            worst=options.worst,
        )
        pictures = images.pixels.take(np.array([mistake.index for mistake in found.mistakes], np.int64))
    evaluation = found.model_copy(
        update={
            "model": str(options.model),
            "data": str(options.data),
            "image_spec": classifier.spec,
            "notes": [*found.notes, *_doubts(found, classifier.spec), *_about(classifier, images)],
        }
    )
    return Evaluated(evaluation, dict(zip((mistake.index for mistake in found.mistakes), pictures, strict=True)))


def is_artifact(path: Path) -> bool:
    """Whether a path is a .tflite, .onnx or .mlpackage, by its name or its first bytes.

    Raises:
        ArtifactError: a folder of artifacts.
    """
    if path.is_dir() and any(item.name == MANIFEST_NAME for item in path.iterdir()):  # not Manifest.json where case is ignored
        found = f"{path}, a folder of several"
        raise ArtifactError("one model or artifact", found, "name a file in it, or measure all of them with `edgecls bench`")
    if path.suffix.lower() in SUFFIXES.values():
        return True
    with contextlib.suppress(ArtifactError):
        detect(path)
        return True
    return False


def _opened_file(options: EvaluateOptions) -> AnsweringFile:
    for name in (name for name in _OF_MODELS if getattr(options, name)):
        flag = f"--{name.removeprefix('model_').replace('_', '-')}"
        raise InputError(f"a model with {flag}", f"{options.model}, an artifact", f"leave {flag} out")
    return AnsweringFile(options.model, options.preprocess, options.fit, options.filter)


class _OpenedModel:
    """A model in memory that answers as an artifact does."""

    def __init__(self, options: EvaluateOptions) -> None:
        opened = open_model(options)
        self._model: Any = opened.model
        self.spec, self.stand_in = opened.spec, ""
        self.labels = opened.labels if opened.labels_source == "file" else []
        self.output_kind: OutputKind = opened.model.output_kind
        self.outputs = opened.model.outputs

    def scores(self, pixels: PixelFile, progress: Callable[[int, int], None]) -> np.ndarray:
        parts = []
        for start in range(0, pixels.count, _BATCH):
            parts.append(self._model.predict(self.spec.apply(pixels.read(start, start + _BATCH))))
            progress(min(start + _BATCH, pixels.count), pixels.count)
        return np.concatenate(parts)


def _labels(options: EvaluateOptions, classifier: _Classifier) -> list[str]:
    classes = max(classifier.outputs, 2)
    if options.labels:
        return read_labels(options.labels, classes)
    return list(classifier.labels) if len(classifier.labels) == classes else default_labels(classes)


def _require_labels(images: ImageSet, classifier: _Classifier) -> None:
    if not images.labelled:
        found = f"{images.path} without labels" + (f" ({images.note})" if images.note else "")
        raise DataError(
            "labelled images for --data", found, "sort them into a folder for each class, or name the classes with --labels"
        )
    require_fitting(images, classifier.output_kind, classifier.outputs)


def _doubts(found: Evaluation, spec: ImageSpec) -> list[str]:
    if spec.provenance != "assumed" or found.balanced_accuracy is None:
        return []
    if not is_near_chance(found.balanced_accuracy, len(found.labels)):
        return []
    return ["Not clearly better than guessing, and the preprocessing was assumed: try --preprocess 0..255, 0..1 and -1..1."]


def _about(classifier: _Classifier, images: ImageSet) -> Sequence[str]:
    """What was assumed, and how images and labels were found."""
    notes = [f"computed by {classifier.stand_in}"] if classifier.stand_in else []
    notes += [classifier.spec.note] if classifier.spec.provenance == "assumed" and classifier.spec.note else []
    return [*notes, *filter(None, (classifier.spec.resizing_note, images.note))]
