"""Which preprocessing, order of channels, fit and filter suit a model: try the common ones on labelled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from edgecls.crew.crew import Crew, engines
from edgecls.crew.jobs import BenchOptions, Failure, OpenRunner
from edgecls.data import ImageSet
from edgecls.errors import DataError, InputError
from edgecls.evaluation import shares
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.evaluation.answers import Answers, accuracy_of
from edgecls.evaluation.statistics import mcnemar_p
from edgecls.formats import detect, read_record
from edgecls.records.average_precision import mean_average_precision
from edgecls.records.image_spec import PREPROCESS_CHOICES, Filter, ImageSpec

FITS = ("squeeze", "crop", "crop=0.875", "pad")
_CHANCE = 0.05
_LEAST_GAIN = 0.01  # of mean average precision


def fit_preprocess(
    path: Path,
    images: ImageSet,
    *,
    open_runner: OpenRunner,
    spec: ImageSpec | None = None,
    options: BenchOptions | None = None,
) -> list[tuple[str, float]]:
    """Top-1 of an artifact under each preprocessing, best first, or mean average precision where labels are multi-hot.

    Those of PREPROCESS_CHOICES that suit its channels, colour images also in the other order of these, as OpenCV reads pictures. Where such
    an order answers best, but not beyond chance, the best choice in its own order comes first: a network that hardly looks at colours
    answers nearly alike with both. Equal ones are in the order of the table.

    Args:
        path: a .tflite, .onnx or .mlpackage; a float one, since the ranges of an integer one belong to one preprocessing.
        images: labelled images of the model's classes, uint8.
        spec: the model's image spec; default: the spec the images were opened with.

    Raises:
        InputError: the model preprocesses inside itself, so that there is nothing to choose.
        DataError: images without labels, or arrays of model inputs.
        WorkerError, ArtifactError: the artifact could not be run.
    """
    base = spec or images.spec
    _check(path, images, base)
    usual = [base.with_preprocess(name) for name, (_, mean, _) in PREPROCESS_CHOICES.items() if len(mean) in (1, base.channels)]
    turned = [one.with_turned_channels for one in usual if base.channels == 3]
    specs = {one.preprocess: one for one in (*usual, *turned)}
    exams = [Exam(choice, path, one, images.pixels, images.labels) for choice, one in specs.items()]
    found = _answers(exams, open_runner, options or BenchOptions())
    scores = {choice: _accuracy(found[choice], images.labels) for choice in specs}
    ranked = _ranked(scores)
    best = ranked[0][0]
    names = {one.preprocess for one in usual}
    rival = next(choice for choice, _ in ranked if choice in names)
    if rival != best and not _is_better(found[best], found[rival], scores[best] - scores[rival], tried=1):
        ranked.sort(key=lambda item: item[0] != rival)
    return ranked


@dataclass(frozen=True)
class TriedOption:
    """Order of the channels, fit or filter, tried on labelled images.

    Attributes:
        chosen: what is to be taken: the best one, or what was there before where nothing is distinguishable from it.
        before: what was there.
        ranked: top-1, or mean average precision, of each choice, best first.
        images: how many.
    """

    option: Literal["order", "fit", "filter"]
    chosen: str
    before: str
    ranked: list[tuple[str, float]]
    images: int


def try_order(
    path: Path,
    spec: ImageSpec,
    images: ImageSet,
    *,
    open_runner: OpenRunner,
    options: BenchOptions | None = None,
) -> TriedOption:
    """Red first and blue first, with the numbers of `spec`; the other one is chosen where it is better beyond chance.

    Args:
        path: a float artifact, as for `fit_preprocess`.
        images: labelled images in colour, uint8.

    Raises:
        InputError, DataError, WorkerError, ArtifactError: as `fit_preprocess`.
    """
    specs: dict[str, ImageSpec] = {one.color_order: one for one in (spec, spec.with_turned_channels)}
    return _tried(path, "order", specs, dict.fromkeys(specs, images), open_runner, options or BenchOptions())


def try_resizing(
    path: Path,
    spec: ImageSpec,
    option: Literal["fit", "filter"],
    open_set: Callable[[ImageSpec], ImageSet],
    *,
    open_runner: OpenRunner,
    options: BenchOptions | None = None,
) -> TriedOption:
    """Every fit with the filter of `spec`, or every filter with its fit; another one is chosen only where it is better beyond chance.

    Each choice needs other pixels, so the images are decoded anew for each: trying first the fits and then the filters with the best fit
    takes nine decodings, all pairs of them would take twenty.

    Args:
        path: a float artifact, as for `fit_preprocess`.
        open_set: opens the labelled images for a spec.

    Raises:
        InputError, DataError, WorkerError, ArtifactError: as `fit_preprocess`.
    """
    before = spec.fit_choice if option == "fit" else spec.filter
    choices = [before, *(choice for choice in (FITS if option == "fit" else get_args(Filter)) if choice != before)]
    specs = {choice: spec.with_choices(**{option: choice}) for choice in choices}
    sets = {choice: open_set(candidate) for choice, candidate in specs.items()}
    return _tried(path, option, specs, sets, open_runner, options or BenchOptions())


def _tried(
    path: Path,
    option: Literal["order", "fit", "filter"],
    specs: dict[str, ImageSpec],
    sets: dict[str, ImageSet],
    open_runner: OpenRunner,
    options: BenchOptions,
) -> TriedOption:
    """The choices of one option, the present one first, each on the images that belong to it."""
    before, *others = specs
    _check_images(sets[before])
    exams = [Exam(choice, path, spec, sets[choice].pixels, sets[choice].labels) for choice, spec in specs.items()]
    found = _answers(exams, open_runner, options)
    ranked = _ranked({choice: _accuracy(found[choice], sets[choice].labels) for choice in specs})
    best = ranked[0][0]
    gain = dict(ranked)[best] - dict(ranked)[before]
    better = best != before and _is_better(found[best], found[before], gain, len(others))
    return TriedOption(option, best if better else before, before, ranked, len(sets[before]))


def _is_better(new: Answers, old: Answers, gain: float, tried: int) -> bool:
    """Whether it is so beyond chance: by McNemar's test at 95 % for all that was tried together; of multi-hot labels, by a point of mAP."""
    if new.top1 is None or old.top1 is None:
        return gain >= _LEAST_GAIN
    right, was_right = new.top1 > 0.5, old.top1 > 0.5
    return mcnemar_p(int((was_right & ~right).sum()), int((right & ~was_right).sum())) < _CHANCE / tried


def _answers(exams: list[Exam], open_runner: OpenRunner, options: BenchOptions) -> dict[str, Answers]:
    """What the artifact answers in each exam.

    Raises:
        InputError: it does not run.
    """
    path = exams[0].path
    with Crew() as crew:

        def hire():
            return crew.hire([shares.__name__, open_runner.__module__, *engines([detect(path)])])

        workers = [hire() for _ in range(options.cores)]
        found = examine(exams, workers, open_runner, hire=hire, timeout_s=options.timeout_s, progress=lambda *told: None)
    answers: dict[str, Answers] = {}
    for choice, answer in found.items():
        if isinstance(answer, Failure):
            raise InputError("an artifact that runs", f"{path}: {answer.reason}", "convert it again")
        answers[choice] = answer
    return answers


def _ranked(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Best first, equal ones in their order."""
    return sorted(scores.items(), key=lambda item: -item[1])


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
    _check_images(images)


def _check_images(images: ImageSet) -> None:
    if not images.labelled:
        raise DataError(
            "labelled images to find the preprocessing", f"{images.path}: {images.note}", "name the choice with --preprocess"
        )
    if images.dtype != "uint8":
        raise DataError("images of 0..255", f"{images.path}, which holds floats already preprocessed", "leave --preprocess out")
