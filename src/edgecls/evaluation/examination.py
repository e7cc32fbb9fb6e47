"""Examination: what is in a produced file, and whether it answers as the model it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from edgecls.data import PixelFile
from edgecls.errors import UnsupportedOperationError
from edgecls.evaluation.parity import compare
from edgecls.formats import describe, file_sizes, sha256
from edgecls.records.artifact import Actual, FloatRemainder, Head, Parity, Requested, Scheme, Verdict
from edgecls.records.metadata import ArtifactMetadata

StructureCheck: TypeAlias = Callable[[Path, ArtifactMetadata], str]
BATCH = 32  # images in memory at a time
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


def examine(
    path: Path, requested: Requested, record: ArtifactMetadata, questions: Questions, check: StructureCheck | None = None
) -> Examined:
    """Read back what is in the file, then run it; the function can run in a worker.

    Args:
        check: why a file is not the classifier that the record describes, empty where it is, where its format lets that be known.
    """
    actual = describe(path).actual
    actual = actual.model_copy(update={"stayed_float": [_with_request(entry, requested) for entry in actual.stayed_float]})
    if requested.scheme in ("float32", "float16"):
        actual = actual.model_copy(update={"stayed_float": []})  # nothing else was asked
    parity, scores = _judge(path, requested, record, questions, actual, check)
    return Examined(actual, parity, *file_sizes(path), sha256(path), scores)


def _with_request(entry: FloatRemainder, requested: Requested) -> FloatRemainder:
    """What stayed float because the user asked for it, by name or by a goal, has that reason."""
    from edgecls.formats.onnx.names import tflite_name

    asked = tflite_name(entry.name) in requested.keep_float
    goal = requested.mixed_precision
    reason = f"needed for --mixed-precision {goal}" if goal else "asked by --keep-float"
    return entry.model_copy(update={"reason": reason}) if asked else entry


def _judge(
    path: Path,
    requested: Requested,
    record: ArtifactMetadata,
    questions: Questions,
    actual: Actual,
    check: StructureCheck | None,
) -> tuple[Parity, list[np.ndarray]]:
    """The verdict, and the heads' scores where the artifact was run.

    int8 weights in ONNX are judged as on the processors they were asked for.
    """
    from edgecls.runners import open_exact, open_runner

    def unrun(verdict: Verdict, reason: str) -> tuple[Parity, list[np.ndarray]]:
        return Parity(samples=0, inputs=questions.kind, verdict=verdict, reason=reason), []

    asked = STORED_AS.get(requested.scheme)
    if asked and not (actual.eight_bit_weights if asked == "int8" else actual.weight_dtypes.get(asked)):
        others = "beside those kept float " if requested.keep_float else ""
        return unrun(
            "failed",
            f"{requested.scheme} was asked, but the file holds no {asked} weights: the model has none {others}that can be stored so",
        )
    if requested.target == "tflite" and {actual.input_dtype, actual.output_dtype} != {requested.io}:
        found = f"takes {actual.input_dtype} and gives {actual.output_dtype}"
        return unrun("failed", f"--io {requested.io} was asked, but the file {found}")
    if not questions.scores:
        return unrun("skipped", "--no-verify")
    if check is not None and (reason := check(path, record)):
        return unrun("failed", reason)
    try:
        runner = (open_exact if requested.onnx_weights == "int8" else open_runner)(path, spec=record.image_spec)
    except UnsupportedOperationError as error:
        if requested.target != "coreml":
            raise
        return unrun("structure", f"not computed here: {error.found}")
    batches = [runner.predict_heads(pixels) for pixels in questions.pixels.batches(BATCH)]
    scores = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    heads = zip(heads_of(record), questions.scores, scores, strict=True)
    return _worst(
        [(head, compare(asked, found, requested.scheme, head.output_kind, questions.kind)) for head, asked, found in heads]
    ), scores


def _worst(judged: list[tuple[Head, Parity]]) -> Parity:
    """The verdict on the head that keeps least: one that failed, else one not judged, else that of the lowest signal-to-noise ratio."""
    worst_first = ("failed", "not judged", "passed")

    def merit(item: tuple[Head, Parity]) -> tuple[int, float]:
        parity = item[1]
        return worst_first.index(parity.verdict), np.inf if parity.snr_db is None else parity.snr_db

    head, parity = min(judged, key=merit)
    return parity.model_copy(update={"head": head.name, "reason": named(head, parity.reason)})


def named(head: Head, reason: str) -> str:
    return f"output {head.name}: {reason}" if head.name and reason else reason
