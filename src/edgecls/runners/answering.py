"""AnsweringFile: an artifact that answers to many images, in a process of its own: a damaged file may bring its engine down."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

import numpy as np

from edgecls.data import PixelFile
from edgecls.errors import ArtifactError, WorkerError
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.records.runner import Runner
from edgecls.runners import labels_in, open_as, open_runner
from edgecls.system.worker import Worker

_BATCH, _SHARE = 32, 512  # images of one inference, and of one answer of the process
P = ParamSpec("P")
R = TypeVar("R")


class AnsweringFile:
    """An opened .tflite, .onnx or .mlpackage.

    Args:
        preprocess, fit, filter: how pictures enter it, where it does not say.

    Attributes:
        spec: the images it takes.
        labels: one per class, as the file gives them; empty where it does not.
        output_kind, outputs: what its scores are, and how many.
        stand_in: what computes in its engine's place; empty where its engine does.

    Raises:
        ArtifactError: it is damaged, even where that ends its engine's process.
        InputError: as `open_runner` and `ImageSpec.with_choices`.
    """

    def __init__(self, path: Path, preprocess: str | None = None, fit: str | None = None, filter: str | None = None) -> None:
        self._path, self._worker = path, Worker()
        try:
            found = self._ask(_facts, path, preprocess, fit, filter)
        except BaseException:
            self._worker.kill()
            raise
        self.output_kind: OutputKind
        self.spec, self.labels, self.output_kind, self.outputs, self.stand_in = found

    def scores(self, pixels: PixelFile, progress: Callable[[int, int], None]) -> np.ndarray:
        """Scores float32 [N, outputs] of all images [N, H, W, C]; tells `progress(done, total)`."""
        parts = []
        for start in range(0, pixels.count, _SHARE):
            parts.append(self._ask(_scores, self._path, self.spec, pixels, start))
            progress(min(start + _SHARE, pixels.count), pixels.count)
        return np.concatenate(parts)

    def _ask(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return self._worker.call(function, *args, **kwargs)
        except WorkerError as error:
            raise ArtifactError(
                "a file that its engine survives", f"{self._path}: {error.found}", "it is damaged: copy or convert it again"
            ) from None

    def __enter__(self) -> AnsweringFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._worker.__exit__(kind, error, trace)


def _facts(
    path: Path, preprocess: str | None, fit: str | None, filter: str | None
) -> tuple[ImageSpec, list[str], OutputKind, int, str]:
    runner = open_as(path, preprocess, fit, filter)
    return runner.spec, labels_in(path, runner), runner.output_kind, runner.outputs, runner.stand_in


@functools.lru_cache(maxsize=1)
def _opened(path: Path, spec: str) -> Runner:
    """Once for all shares: this runs in a process that serves one file. `spec` is the ImageSpec as JSON, by which it is known again."""
    return open_runner(path, spec=ImageSpec.model_validate_json(spec))


def _scores(path: Path, spec: ImageSpec, pixels: PixelFile, start: int) -> np.ndarray:
    """Of the share of images that begins there."""
    runner, end = _opened(path, spec.model_dump_json()), min(start + _SHARE, pixels.count)
    return np.concatenate([runner.predict(pixels.read(at, min(at + _BATCH, end))) for at in range(start, end, _BATCH)])
