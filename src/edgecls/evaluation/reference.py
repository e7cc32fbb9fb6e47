"""The source model's scores, stored beside the artifacts: what is compared with when no labelled images are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data import synthetic_pixels
from edgecls.data.pixel_file import PixelWriter, write_pixels
from edgecls.errors import ArtifactError
from edgecls.evaluation.answers import Answers, judge_scores
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.system.archive_errors import NPZ_ERRORS

SOURCE = "source"


@dataclass(frozen=True)
class Reference:
    """Images and what the source model answered.

    Attributes:
        images: pixels [N, H, W, C], uint8 or float32.
        scores: float32 [N, outputs].
    """

    images: np.ndarray
    scores: np.ndarray

    def answers(self, kind: OutputKind) -> Answers:
        """The source model's answers."""
        return judge_scores(self.scores, None, kind)

    def write(self) -> PixelWriter:
        """The images as a file that workers read."""
        return write_pixels(self.images)


def read_reference(path: Path, spec: ImageSpec, source_sha256: str | None = None) -> Reference:
    """Read `reference.npz`: `scores` with `images`, or with the `seed` of synthetic_pixels.

    Args:
        source_sha256: the model the scores must be of; files that do not say are accepted.

    Raises:
        ArtifactError: damaged, or of another model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            scores = archive["scores"].astype(np.float32)
            images = archive["images"] if "images" in archive else synthetic_pixels(spec, len(scores), int(archive["seed"]))
            source = str(archive["source_sha256"]) if "source_sha256" in archive else source_sha256
    except NPZ_ERRORS as error:
        raise ArtifactError("the source model's scores", f"{path}: {error}", "run `edgecls convert` again") from None
    if images.ndim != 4 or images.dtype.kind not in "uif" or scores.ndim != 2 or len(images) != len(scores):
        found = f"{path} with images {images.shape} of {images.dtype} and scores {scores.shape}"
        raise ArtifactError("images [N, H, W, C] and scores [N, outputs]", found, "run `edgecls convert` again")
    if source_sha256 is not None and source != source_sha256:
        raise ArtifactError("the scores of this source model", f"{path}, which is of another", "run `edgecls convert` again")
    return Reference(images, scores)
