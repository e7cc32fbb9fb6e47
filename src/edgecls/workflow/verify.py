"""Verifier: examines every produced file and compares its scores with the source model's and its siblings', in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edgecls.converters import Job, Made
from edgecls.converters.coreml.structure import check_structure
from edgecls.errors import EdgeclsError, RemoteError
from edgecls.evaluation.examination import Examined, Questions, examine, heads_of, named
from edgecls.evaluation.siblings import judge_siblings
from edgecls.formats import file_sizes, sha256
from edgecls.records.artifact import Artifact, Parity
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.worker import Worker

# the worker that examines a file and its answer; None where there is no file
Pending: TypeAlias = "tuple[Worker, Future[Examined]] | None"
TIMEOUT_S, TIMEOUT_S_FOR_AN_IMAGE = 600.0, 20.0


class Verifier:
    """Compares artifacts with one source model.

    Args:
        record: what the artifacts carry.
        worker: examines files.
        coreml: worker that has coremltools loaded, for Core ML packages.
        questions: what to compare on; without scores the verdict is `skipped`.
        int8_questions: what to compare int8 artifacts on.
    """

    def __init__(
        self, record: ArtifactMetadata, worker: Worker, coreml: Worker | None, questions: Questions, int8_questions: Questions
    ) -> None:
        self._record, self._questions, self._int8_questions = record, questions, int8_questions
        self._worker, self._coreml = worker, coreml
        self._scores: dict[str, list[np.ndarray]] = {}  # of int8 artifacts' heads, by name

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
        is_package = made.job.target == "coreml"
        worker = self._coreml if is_package and self._coreml else self._worker
        check = check_structure if is_package else None
        return worker, worker.start(examine, made.path, made.requested, self._record, self._asked(made.job), check)

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
                name: named(head, reason) for name, reason in judge_siblings(reference, found, head.output_kind).items()
            } | reasons
        return [_rejected(row, reasons[row.name]) if row.name in reasons else row for row in rows]

    def _asked(self, job: Job) -> Questions:
        return self._int8_questions if job.scheme == "int8" else self._questions


def is_done(pending: Pending) -> bool:
    """Whether `finish` would answer without waiting."""
    return pending is None or pending[1].done()


def _rejected(row: Artifact, reason: str) -> Artifact:
    parity = row.parity and row.parity.model_copy(update={"verdict": "failed", "reason": reason})
    return row.model_copy(update={"status": "rejected", "reason": reason, "path": f"{row.path}.rejected", "parity": parity})
