"""Which preprocessing fits a model: try the common ones on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from edgecls.crew.crew import Crew, engines
from edgecls.crew.jobs import BenchOptions, Failure, OpenRunner
from edgecls.data import ImageSet
from edgecls.errors import DataError, InputError
from edgecls.evaluation import shares
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.evaluation.answers import Answers, accuracy_of
from edgecls.formats import detect, read_record
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.image_spec import PREPROCESS_CHOICES, ImageSpec


def fit_preprocess(
    path: Path,
    images: ImageSet,
    choices: Iterable[str] = tuple(PREPROCESS_CHOICES),
    *,
    open_runner: OpenRunner,
    spec: ImageSpec | None = None,
    options: BenchOptions | None = None,
    progress: Callable[[str, int, int], None] = lambda choice, done, total: None,
) -> list[tuple[str, float]]:
    """Top-1 of an artifact under each preprocessing, best first, or mean average precision where labels are multi-hot.

    Equal ones are in the order of `choices`.

    Args:
        path: a .tflite, .onnx or .mlpackage; a float one, since the ranges of an integer one belong to one preprocessing.
        images: labelled images of the model's classes, uint8.
        choices: keys of PREPROCESS_CHOICES; those for three channels are left out for models of one.
        spec: the model's image spec; default: the spec the images were opened with.

    Raises:
        InputError: the model preprocesses inside itself, so that there is nothing to choose.
        DataError: images without labels, or arrays of model inputs.
        WorkerError, ArtifactError: the artifact could not be run.
    """
    options = options or BenchOptions()
    base = spec or images.spec
    _check(path, images, base)
    fitting = [choice for choice in choices if len(PREPROCESS_CHOICES[choice][1]) in (1, base.channels)]
    exams = [Exam(choice, path, base.with_preprocess(choice, "fitted"), images.pixels, images.labels) for choice in fitting]
    with Crew() as crew:

        def hire():
            return crew.hire([shares.__name__, open_runner.__module__, *engines([detect(path)])])

        workers = [hire() for _ in range(options.cores)]
        found = examine(exams, workers, open_runner, hire=hire, timeout_s=options.timeout_s, progress=progress)
    scores: list[tuple[str, float]] = []
    for choice in fitting:
        answers = found[choice]
        if isinstance(answers, Failure):
            raise InputError("an artifact that runs", f"{path}: {answers.reason}", "convert it again")
        scores.append((choice, _accuracy(answers, images.labels)))
    return sorted(scores, key=lambda item: -item[1])


def _accuracy(answers: Answers, labels: np.ndarray | None) -> float:
    if labels is not None and answers.scores is not None:
        return mean_average_precision(labels, answers.scores) if labels.any() else 0.0
    accuracy = accuracy_of(answers)
    return accuracy.top1 if accuracy else 0.0


def _check(path: Path, images: ImageSet, spec: ImageSpec) -> None:
    record = read_record(path) if path.suffix in (".tflite", ".onnx", ".mlpackage") else None
    provenance = record.image_spec.provenance if record else spec.provenance
    if provenance == "in-model":
        raise InputError("a model that leaves preprocessing to others", f"{path}, which does it inside", "leave --preprocess out")
    if not images.labelled:
        raise DataError(
            "labelled images to find the preprocessing", f"{images.path}: {images.note}", "name the choice with --preprocess"
        )
    if images.dtype != "uint8":
        raise DataError("images of 0..255", f"{images.path}, which holds floats already preprocessed", "leave --preprocess out")
