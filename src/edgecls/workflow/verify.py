"""Verifier: examines every produced file and compares its scores with the source model's, in a process of its own."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from edgecls.artifact import Actual, Artifact, Parity
from edgecls.converters import Job, Made
from edgecls.errors import EdgeclsError
from edgecls.evaluation.parity import compare
from edgecls.formats import describe, file_sizes, sha256
from edgecls.metadata import ArtifactMetadata
from edgecls.worker import RemoteError, Worker

Pending: TypeAlias = Future[tuple[Actual, Parity]] | None
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class ImageInputs:
    """What artifacts are compared on.

    Attributes:
        pixels: [n, H, W, C], 0..255.
        kind: the user's images, or synthetic ones.
    """

    pixels: np.ndarray
    kind: Literal["images", "synthetic"]


class Verifier:
    """Compares artifacts with one source model.

    Args:
        record: what the artifacts carry.
        coreml: worker that has coremltools loaded, for Core ML packages.
        inputs: what to compare on.
        reference: the source model's own scores [n, outputs]; None records the verdict `skipped`.
    """

    def __init__(
        self, record: ArtifactMetadata, coreml: Worker | None, inputs: ImageInputs, reference: np.ndarray | None
    ) -> None:
        self._record, self._coreml, self._inputs, self.reference = record, coreml, inputs, reference
        self._worker = Worker()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()

    def write_reference(self, path: Path) -> Path | None:
        """Keep inputs and source scores beside the artifacts, so that benching can say how they agree; None without scores."""
        if self.reference is None:
            return None
        np.savez_compressed(path, images=self._inputs.pixels, scores=self.reference)
        return path

    def start(self, made: Made) -> Pending:
        """Begin examining a file; None where there is no file."""
        if made.error:
            return None
        worker = self._coreml if made.job.target == "coreml" and self._coreml else self._worker
        return worker.start(examine, made.path, made.job, self._record, self._inputs, self.reference)

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
            row.parity = Parity(samples=0, inputs=self._inputs.kind, verdict="failed", reason=str(error))
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
    inputs: ImageInputs,
    reference: np.ndarray | None,
) -> tuple[Actual, Parity]:
    """Runs in a worker: read back what is in the file, then run it."""
    actual = describe(path).actual
    if reference is None:
        return actual, Parity(samples=0, inputs=inputs.kind, verdict="skipped", reason="--no-verify")
    from edgecls.converters.coreml import check_structure
    from edgecls.runners import open_runner

    if job.target == "coreml" and sys.platform != "darwin":
        reason = check_structure(path, record)
        verdict = "failed" if reason else "structure"
        return actual, Parity(samples=0, inputs=inputs.kind, verdict=verdict, reason=reason or "Core ML executes on macOS only")
    scores = open_runner(path, spec=record.image_spec).predict(inputs.pixels)
    return actual, compare(reference, scores, job.scheme, record.output_kind, inputs.kind)
