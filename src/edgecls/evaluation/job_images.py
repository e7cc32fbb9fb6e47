"""JobImages: the images that artifacts are asked about, opened once for each size, fit, filter and preprocessing they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecls.crew.desk import Opened
from edgecls.crew.jobs import BenchJob, Failure, ImageSource
from edgecls.data import ImageSet, PixelFile, open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import InputError
from edgecls.records.event import Event, OnEvent
from edgecls.records.image_spec import ImageSpec
from edgecls.records.report import DataUsed


@dataclass(frozen=True)
class JobImages:
    """What one artifact is asked about; `opened` is None for images stored with the artifacts."""

    pixels: PixelFile
    labels: np.ndarray | None
    opened: ImageSet | None = None

    def name(self, index: int) -> str:
        """What people call an image."""
        return self.opened.name(index) if self.opened else ""


class OpenedSource:
    """The images of one source, for artifacts of any size.

    Args:
        source: where they are.
        on_event: told how many are decoded.
    """

    def __init__(self, source: ImageSource, on_event: OnEvent) -> None:
        self._source, self._on_event = source, on_event
        self._sets: dict[tuple[object, ...], ImageSet] = {}

    def images_for(self, job: BenchJob, opened: Opened) -> JobImages | Failure:
        """The images as an opened artifact takes them.

        Raises:
            InputError: they cannot be used, and the artifact is one of ours, which they were meant for.
        """
        try:
            found = self._open(job, opened.spec, max(opened.outputs, 2))
            require_fitting(found, opened.output_kind, opened.outputs)
            found.decode(lambda done, total: self._on_event(Event("decode", "", done, total)))
        except InputError as error:
            if not job.foreign:
                raise
            return Failure("failed", str(error))
        return JobImages(found.pixels, found.labels, found)

    @property
    def used(self) -> DataUsed | None:
        """What was opened first; None where nothing was."""
        if not self._sets:
            return None
        first = next(iter(self._sets.values()))
        return DataUsed(path=str(self._source.path), images=len(first), labelled=first.labelled, note=first.note)

    def _open(self, job: BenchJob, spec: ImageSpec, classes: int) -> ImageSet:
        source = self._source
        labels = job.labels or source.labels
        if labels is None or len(labels) != classes:
            labels = tuple(f"class_{index}" for index in range(classes))
        size = (*spec.resizing.values(), labels)
        inputs = (*size, spec.color_order, spec.mean, spec.std)  # arrays of model inputs also depend on the preprocessing
        for key in (size, inputs):
            if key in self._sets:
                return self._sets[key]
        found = open_images(source.path, spec, role="data", labels=labels, limit=source.limit, seed=source.seed)
        self._sets[size if found.dtype == "uint8" else inputs] = found
        return found
