"""Verifier: examines every produced file and compares its scores with the source model's, in a process of its own."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from edgecls.artifact import Actual, Artifact, FloatRemainder, Parity, Requested, Scheme
from edgecls.converters import Job, Made
from edgecls.errors import EdgeclsError, UnsupportedOperationError
from edgecls.evaluation.parity import compare
from edgecls.formats import describe, file_sizes, sha256
from edgecls.metadata import ArtifactMetadata
from edgecls.worker import RemoteError, Worker

# the worker that examines a file and its answer; None where there is no file
Pending: TypeAlias = "tuple[Worker, Future[Examined]] | None"
TIMEOUT_S = 600.0
STORED_AS: dict[Scheme, str] = {
    "float16": "float16",
    "dynamic": "int8",
    "int8": "int8",
    "weight8": "int8",
    "weight4": "int4",
    "palette8": "palette8",
    "palette6": "palette6",
    "palette4": "palette4",
    "palette2": "palette2",
    "sparse": "sparse-float16",
    "sparse-palette4": "sparse-palette4",
    "sparse-weight8": "sparse-int8",
}


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
        source = np.array(self._record.source_sha256)
        np.savez_compressed(path, images=self._inputs.pixels, scores=self.reference, source_sha256=source)
        return path

    def start(self, made: Made) -> Pending:
        """Begin examining a file; None where there is no file."""
        if made.error:
            return None
        worker = self._coreml if made.job.target == "coreml" and self._coreml else self._worker
        return worker, worker.start(examine, made.path, made.job, made.requested, self._record, self._inputs, self.reference)

    def finish(self, made: Made, pending: Pending) -> Artifact:
        """The artifact's row: `rejected` where its scores or contents are wrong, `failed` where there is no file."""
        row = Artifact(
            name=f"{self._record.name}-{made.job.target}-{made.job.scheme}",
            path=made.path.name,
            variant=self._record.name,
            target=made.job.target,
            scheme=made.job.scheme,
            requested=made.requested,
            seconds=round(made.seconds, 3),
        )
        if pending is None:
            return row.model_copy(update={"status": "failed", "reason": made.error})
        worker, future = pending
        try:
            found = worker.wait(future, TIMEOUT_S)
        except (EdgeclsError, RemoteError) as error:
            parity = Parity(samples=0, inputs=self._inputs.kind, verdict="failed", reason=str(error))
            found = Examined(None, parity, *file_sizes(made.path), sha256(made.path))
        row = row.model_copy(update=vars(found))
        if found.parity.verdict == "failed":
            return row.model_copy(update={"status": "rejected", "reason": found.parity.reason, "path": f"{row.path}.rejected"})
        return row


@dataclass(frozen=True)
class Examined:
    """What was found in and measured of a file; the fields are those of Artifact."""

    actual: Actual | None
    parity: Parity
    size_bytes: int
    compressed_bytes: int
    sha256: str


def is_done(pending: Pending) -> bool:
    """Whether `finish` would answer without waiting."""
    return pending is None or pending[1].done()


def examine(
    path: Path, job: Job, requested: Requested, record: ArtifactMetadata, inputs: ImageInputs, reference: np.ndarray | None
) -> Examined:
    """Runs in a worker: read back what is in the file, then run it."""
    actual = describe(path).actual
    actual = actual.model_copy(update={"stayed_float": [_with_request(entry, requested) for entry in actual.stayed_float]})
    if job.scheme in ("float32", "float16"):
        actual = actual.model_copy(update={"stayed_float": []})  # nothing else was asked
    return Examined(actual, _judge(path, job, record, inputs, reference, actual), *file_sizes(path), sha256(path))


def _with_request(entry: FloatRemainder, requested: Requested) -> FloatRemainder:
    """What stayed float because the user asked for it, by name or by a goal, has that reason."""
    from edgecls.converters.explicit import tflite_name

    asked = tflite_name(entry.name) in requested.keep_float
    goal = requested.mixed_precision
    reason = f"needed for --mixed-precision {goal}" if goal else "asked by --keep-float"
    return entry.model_copy(update={"reason": reason}) if asked else entry


def _judge(
    path: Path, job: Job, record: ArtifactMetadata, inputs: ImageInputs, reference: np.ndarray | None, actual: Actual
) -> Parity:
    from edgecls.converters.coreml import check_structure
    from edgecls.runners import open_runner

    asked = STORED_AS.get(job.scheme)
    if asked and not (actual.eight_bit_weights if asked == "int8" else actual.weight_dtypes.get(asked)):
        reason = f"{job.scheme} was asked, but the file holds no {asked} weights: the model has none that can be stored so"
        return Parity(samples=0, inputs=inputs.kind, verdict="failed", reason=reason)
    if reference is None:
        return Parity(samples=0, inputs=inputs.kind, verdict="skipped", reason="--no-verify")
    if job.target == "coreml" and (reason := check_structure(path, record)):
        return Parity(samples=0, inputs=inputs.kind, verdict="failed", reason=reason)
    try:
        runner = open_runner(path, spec=record.image_spec)
    except UnsupportedOperationError as error:
        if job.target != "coreml":
            raise
        return Parity(samples=0, inputs=inputs.kind, verdict="structure", reason=f"not computed here: {error.found}")
    scores = runner.predict(inputs.pixels)
    return compare(reference, scores, job.scheme, record.output_kind, inputs.kind)
