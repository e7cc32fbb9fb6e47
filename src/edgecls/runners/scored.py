"""Scored: what an artifact answers to image files, computed in a process of its own: a damaged file may bring its engine down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data import open_images
from edgecls.data.folders import images_below
from edgecls.data.label_file import default_labels, read_labels
from edgecls.errors import ArtifactError, DataError, WorkerError
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import labels_in, open_as
from edgecls.system.worker import Worker


@dataclass(frozen=True)
class Scored:
    """An artifact's answers.

    Attributes:
        spec: the image it takes.
        stand_in: what computed it in its engine's place; empty where its engine did.
        labels: one per class.
        images: those that were answered; of a folder all that lie in it.
        scores: float32 [images, outputs].
        refused: why the others were not.
    """

    spec: ImageSpec
    stand_in: str
    labels: list[str]
    output_kind: OutputKind
    images: list[Path]
    scores: np.ndarray
    refused: list[DataError]


def score_images(
    path: Path,
    images: Sequence[Path],
    preprocess: str | None = None,
    fit: str | None = None,
    filter: str | None = None,
    labels: Path | None = None,
) -> Scored:
    """Let an artifact answer to image files, or folders of them; without any it tells of itself alone.

    Args:
        preprocess, fit, filter: how pictures enter it, where it does not say.
        labels: file with the names of its classes, or `imagenet`, instead of those it has.

    Raises:
        ArtifactError: it is damaged, even where that ends its engine's process.
        InputError: as `open_runner`; as `open_images`, where it is so of every image.
    """
    with Worker() as worker:
        try:
            return worker.call(_score, path, images, preprocess, fit, filter, labels)
        except WorkerError as error:
            raise ArtifactError(
                "a file that its engine survives", f"{path}: {error.found}", "it is damaged: copy or convert it again"
            ) from None


def _score(
    path: Path,
    images: Sequence[Path],
    preprocess: str | None,
    fit: str | None,
    filter: str | None,
    label_file: Path | None,
) -> Scored:
    runner = open_as(path, preprocess, fit, filter)
    classes = max(2, runner.outputs)
    labels = read_labels(label_file, classes) if label_file else labels_in(path, runner) or default_labels(classes)
    answered, refused = [], []
    scores = [np.zeros((0, runner.outputs), np.float32)]
    for place in images:
        try:
            files = _files(place)
        except DataError as error:
            refused.append(error)
            continue
        for image in files:
            try:
                scores.append(runner.predict(_pixels(image, runner.spec)))
            except DataError as error:
                refused.append(error)
            else:
                answered.append(image)
    if refused and not answered:
        raise refused[0]
    return Scored(runner.spec, runner.stand_in, labels, runner.output_kind, answered, np.concatenate(scores), refused)


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    if found := images_below(place):
        return found
    raise DataError("an image file, or a folder of them", f"{place} without any", "check the path")


def _pixels(image: Path, spec: ImageSpec) -> np.ndarray:
    """[1, H, W, C]."""
    if not image.is_file():
        raise DataError("an image file", f"{image}, which does not exist", "check the path")
    found = open_images(image, spec, role="data")
    if len(found) > 1:
        raise DataError(
            "one image in a file",
            f"{image} with {len(found)}",
            "for how right it is on all of them: edgecls evaluate FILE --data",
        )
    return next(found.batches(1))
