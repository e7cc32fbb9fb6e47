"""Verifier: examines every produced file and compares its scores with the source model's and its siblings', in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from edgecls.converters import Job, Made
from edgecls.data import PixelFile
from edgecls.errors import EdgeclsError, UnsupportedOperationError
from edgecls.evaluation.parity import compare
from edgecls.evaluation.siblings import judge_siblings
from edgecls.formats import describe, file_sizes, sha256
from edgecls.records.artifact import Actual, Artifact, FloatRemainder, Head, Parity, Requested, Scheme, Verdict
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.worker import RemoteError, Worker

# the worker that examines a file and its answer; None where there is no file
Pending: TypeAlias = "tuple[Worker, Future[Examined]] | None"
BATCH = 32  # images in memory at a time
TIMEOUT_S, TIMEOUT_S_FOR_AN_IMAGE = 600.0, 20.0
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
class Questions:
    """What artifacts are compared on, and what the source model answered.

    Attributes:
        pixels: [n, H, W, C], 0..255.
        kind: the user's images, or synthetic ones.
        scores: the source model's own of each head [n, outputs]; empty where nothing is to be compared.
    """

    pixels: PixelFile
    kind: Literal["images", "synthetic"]
    scores: list[np.ndarray]


class Verifier:
    """Compares artifacts with one source model.

    Args:
        record: what the artifacts carry.
        coreml: worker that has coremltools loaded, for Core ML packages.
        questions: what to compare on; without scores the verdict is `skipped`.
        int8_questions: what to compare int8 artifacts on.
    """

    def __init__(self, record: ArtifactMetadata, coreml: Worker | None, questions: Questions, int8_questions: Questions) -> None:
        self._record, self._coreml, self._questions, self._int8_questions = record, coreml, questions, int8_questions
        self._worker = Worker()
        self._scores: dict[str, list[np.ndarray]] = {}  # of int8 artifacts' heads, by name

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()

    def write_reference(self, path: Path) -> Path | None:
        """Keep inputs and source scores beside the artifacts, so that benching can say how they agree; None without scores."""
        pixels, scores = self._questions.pixels, self._questions.scores
        if not scores:
            return None
        source = np.array(self._record.source_sha256)
        np.savez_compressed(path, images=pixels.read(0, pixels.count), scores=scores[0], source_sha256=source)
        return path

    def start(self, made: Made) -> Pending:
        """Begin examining a file; None where there is no file."""
        if made.error:
            return None
        worker = self._coreml if made.job.target == "coreml" and self._coreml else self._worker
        return worker, worker.start(examine, made.path, made.job, made.requested, self._record, self._asked(made.job))

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
        questions = self._asked(made.job)
        try:
            found = worker.wait(future, TIMEOUT_S + questions.pixels.count * TIMEOUT_S_FOR_AN_IMAGE)
        except (EdgeclsError, RemoteError) as error:
            parity = Parity(samples=0, inputs=questions.kind, verdict="failed", reason=str(error))
            found = Examined(None, parity, *file_sizes(made.path), sha256(made.path))
        if made.job.scheme == "int8" and found.scores and found.parity.verdict == "passed":
            self._scores[row.name] = found.scores
        row = row.model_copy(update={key: value for key, value in vars(found).items() if key != "scores"})
        return _rejected(row, found.parity.reason) if found.parity.verdict == "failed" else row

    def hold_together(self, rows: Sequence[Artifact]) -> list[Artifact]:
        """The finished int8 rows of the variant, those `rejected` that do not answer as their siblings do."""
        reasons: dict[str, str] = {}
        for place, (reference, head) in enumerate(zip(self._int8_questions.scores, heads_of(self._record), strict=False)):
            found = {name: scores[place] for name, scores in self._scores.items()}
            reasons = {
                name: _named(head, reason) for name, reason in judge_siblings(reference, found, head.output_kind).items()
            } | reasons
        return [_rejected(row, reasons[row.name]) if row.name in reasons else row for row in rows]

    def _asked(self, job: Job) -> Questions:
        return self._int8_questions if job.scheme == "int8" else self._questions


@dataclass(frozen=True)
class Examined:
    """What was found in and measured of a file; the fields are those of Artifact, and its heads' scores [n, outputs] where it was run."""

    actual: Actual | None
    parity: Parity
    size_bytes: int
    compressed_bytes: int
    sha256: str
    scores: list[np.ndarray] = field(default_factory=list)


def heads_of(record: ArtifactMetadata) -> list[Head]:
    """The heads of a record; its scores, without a name, where there are no others."""
    return record.heads or [Head(name="", output="scores", outputs=record.outputs, output_kind=record.output_kind)]


def is_done(pending: Pending) -> bool:
    """Whether `finish` would answer without waiting."""
    return pending is None or pending[1].done()


def examine(path: Path, job: Job, requested: Requested, record: ArtifactMetadata, questions: Questions) -> Examined:
    """Runs in a worker: read back what is in the file, then run it."""
    actual = describe(path).actual
    actual = actual.model_copy(update={"stayed_float": [_with_request(entry, requested) for entry in actual.stayed_float]})
    if job.scheme in ("float32", "float16"):
        actual = actual.model_copy(update={"stayed_float": []})  # nothing else was asked
    parity, scores = _judge(path, job, requested, record, questions, actual)
    return Examined(actual, parity, *file_sizes(path), sha256(path), scores)


def _rejected(row: Artifact, reason: str) -> Artifact:
    parity = row.parity and row.parity.model_copy(update={"verdict": "failed", "reason": reason})
    return row.model_copy(update={"status": "rejected", "reason": reason, "path": f"{row.path}.rejected", "parity": parity})


def _with_request(entry: FloatRemainder, requested: Requested) -> FloatRemainder:
    """What stayed float because the user asked for it, by name or by a goal, has that reason."""
    from edgecls.formats.onnx.names import tflite_name

    asked = tflite_name(entry.name) in requested.keep_float
    goal = requested.mixed_precision
    reason = f"needed for --mixed-precision {goal}" if goal else "asked by --keep-float"
    return entry.model_copy(update={"reason": reason}) if asked else entry


def _judge(
    path: Path, job: Job, requested: Requested, record: ArtifactMetadata, questions: Questions, actual: Actual
) -> tuple[Parity, list[np.ndarray]]:
    """The verdict, and the heads' scores where the artifact was run.

    int8 weights in ONNX are judged as on the processors they were asked for.
    """
    from edgecls.converters.coreml.convert import check_structure
    from edgecls.runners import open_exact, open_runner

    def unrun(verdict: Verdict, reason: str) -> tuple[Parity, list[np.ndarray]]:
        return Parity(samples=0, inputs=questions.kind, verdict=verdict, reason=reason), []

    asked = STORED_AS.get(job.scheme)
    if asked and not (actual.eight_bit_weights if asked == "int8" else actual.weight_dtypes.get(asked)):
        return unrun(
            "failed", f"{job.scheme} was asked, but the file holds no {asked} weights: the model has none that can be stored so"
        )
    if job.target == "tflite" and {actual.input_dtype, actual.output_dtype} != {requested.io}:
        found = f"takes {actual.input_dtype} and gives {actual.output_dtype}"
        return unrun("failed", f"--io {requested.io} was asked, but the file {found}")
    if not questions.scores:
        return unrun("skipped", "--no-verify")
    if job.target == "coreml" and (reason := check_structure(path, record)):
        return unrun("failed", reason)
    try:
        runner = (open_exact if requested.onnx_weights == "int8" else open_runner)(path, spec=record.image_spec)
    except UnsupportedOperationError as error:
        if job.target != "coreml":
            raise
        return unrun("structure", f"not computed here: {error.found}")
    batches = [runner.predict_heads(pixels) for pixels in questions.pixels.batches(BATCH)]
    scores = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    heads = zip(heads_of(record), questions.scores, scores, strict=True)
    return _worst(
        [(head, compare(asked, found, job.scheme, head.output_kind, questions.kind)) for head, asked, found in heads]
    ), scores


def _worst(judged: list[tuple[Head, Parity]]) -> Parity:
    """The verdict on the head that keeps least: one that failed, else that of the lowest signal-to-noise ratio."""

    def merit(item: tuple[Head, Parity]) -> tuple[bool, float]:
        parity = item[1]
        return parity.verdict != "failed", np.inf if parity.snr_db is None else parity.snr_db

    head, parity = min(judged, key=merit)
    return parity.model_copy(update={"head": head.name, "reason": _named(head, parity.reason)})


def _named(head: Head, reason: str) -> str:
    return f"output {head.name}: {reason}" if head.name and reason else reason
