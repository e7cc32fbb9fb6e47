"""Verifier: examines every produced file and compares its scores with the source model's, in a process of its own."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from edgecls.artifact import Actual, Artifact, Parity
from edgecls.converters import Job, Made
from edgecls.data.synthetic import synthetic_pixels
from edgecls.errors import EdgeclsError
from edgecls.evaluation.parity import compare
from edgecls.formats import describe, file_sizes, sha256
from edgecls.metadata import ArtifactMetadata
from edgecls.worker import RemoteError, Worker

if TYPE_CHECKING:
    from edgecls.models import LoadedModel

Pending: TypeAlias = Future[tuple[Actual, Parity]] | None
SYNTHETIC_IMAGES = 16
TIMEOUT_S = 600.0


class Verifier:
    """Compares artifacts with one source model.

    Args:
        model: the source.
        record: what the artifacts carry.
        coreml: worker that has coremltools loaded, for Core ML packages.
        images: the user's pixels [n, H, W, C], None for synthetic ones.
        enabled: False records the verdict `skipped`.
    """

    def __init__(
        self, model: LoadedModel, record: ArtifactMetadata, coreml: Worker | None, images: np.ndarray | None, *, enabled: bool
    ) -> None:
        self._model, self._record, self._coreml, self._enabled = model, record, coreml, enabled
        self._images = images
        self._worker = Worker()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()

    @property
    def inputs(self) -> Literal["images", "synthetic"]:
        """What the comparison runs on."""
        return "synthetic" if self._images is None else "images"

    @cached_property
    def pixels(self) -> np.ndarray:
        """[n, H, W, C], 0..255."""
        spec = self._record.image_spec
        return synthetic_pixels(spec, SYNTHETIC_IMAGES) if self._images is None else self._images

    @cached_property
    def reference(self) -> np.ndarray | None:
        """The source model's own scores [n, outputs], None when verifying is switched off."""
        return self._model.predict(self._record.image_spec.apply(self.pixels)) if self._enabled else None

    def write_reference(self, path: Path) -> Path:
        """Keep inputs and source scores beside the artifacts, so that benching can say how they agree."""
        np.savez_compressed(path, images=self.pixels, scores=self.reference)
        return path

    def start(self, made: Made) -> Pending:
        """Begin examining a file; None where there is no file."""
        if made.error:
            return None
        worker = self._coreml if made.job.target == "coreml" and self._coreml else self._worker
        return worker.start(examine, made.path, made.job, self._record, self.pixels, self.reference, self.inputs)

    def finish(self, made: Made, pending: Pending) -> Artifact:
        """The artifact's row: `rejected` where its scores are wrong, `failed` where there is no file."""
        name = f"{self._record.name}-{made.job.target}-{made.job.scheme}"
        row = Artifact(
            name=name,
            path=made.path.name,
            target=made.job.target,
            scheme=made.job.scheme,
            requested=made.requested,
            seconds=round(made.seconds, 3),
        )
        if pending is None:
            return row.model_copy(update={"status": "failed", "reason": made.error})
        row.size_bytes, row.compressed_bytes = file_sizes(made.path)
        row.sha256 = sha256(made.path)
        try:
            row.actual, row.parity = self._worker.wait(pending, TIMEOUT_S)
        except (EdgeclsError, RemoteError) as error:
            row.parity = Parity(samples=0, inputs=self.inputs, verdict="failed", reason=str(error))
        if row.parity.verdict == "failed":
            row.status, row.reason, row.path = "rejected", row.parity.reason, f"{row.path}.rejected"
        return row


def is_done(pending: Pending) -> bool:
    """Whether `finish` would answer without waiting."""
    return pending is None or pending.done()


def examine(
    path: Path,
    job: Job,
    record: ArtifactMetadata,
    pixels: np.ndarray,
    reference: np.ndarray | None,
    inputs: Literal["images", "synthetic"],
) -> tuple[Actual, Parity]:
    """Runs in a worker: read back what is in the file, then run it."""
    actual = describe(path).actual
    if reference is None:
        return actual, Parity(samples=0, inputs=inputs, verdict="skipped", reason="--no-verify")
    from edgecls.converters.coreml import check_structure
    from edgecls.runners import open_runner

    if job.target == "coreml" and sys.platform != "darwin":
        reason = check_structure(path, record)
        verdict = "failed" if reason else "structure"
        return actual, Parity(samples=0, inputs=inputs, verdict=verdict, reason=reason or "Core ML executes on macOS only")
    scores = open_runner(path, spec=record.image_spec).predict(pixels)
    return actual, compare(reference, scores, job.scheme, record.output_kind, inputs)
