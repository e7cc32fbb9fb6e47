"""Conversion: what to make of one model, and what came of each job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecls.converters.support import Job
from edgecls.quantization.ranges import Effort
from edgecls.records.artifact import SUFFIXES, Border, Estimator, OnnxBatch, OnnxLayout, Requested
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.metadata import ArtifactMetadata

if TYPE_CHECKING:
    from edgecls.quantization.accuracy_goal import AccuracyGoal
    from edgecls.quantization.learned import LearnedRanges

ONNX_INT8, TFLITE_INT8 = Job("onnx", "int8"), Job("tflite", "int8")


@dataclass(frozen=True)
class CalibrationImages:
    """The images that int8 ranges are measured on.

    Attributes:
        batches: opens the images anew, as model inputs [n, *input_shape], float32.
        estimator: range estimator, None for the one that loses least on these images.
        effort: how much time the quantization may take.
    """

    batches: Callable[[], Iterable[np.ndarray]]
    estimator: Estimator | None = None
    effort: Effort = "normal"


@dataclass(frozen=True)
class Conversion:
    """What to convert, and how.

    Attributes:
        folder: where the files go; private to this conversion, so that they may be written in place.
        learned: int8 parameters from quantization-aware training; they go before calibration.
        keep_float: layers that stay float in int8 files, as the user names them (see `resolve_layers`).
        goal: how much accuracy int8 may cost: the fewest layers stay float that it takes.
        onnx_weights: dtype of the ONNX int8 file's kernels (see `qdq`).
        onnx_layout, onnx_batch: what ONNX files take (see `converters.onnx.input`); None for what the model does.
        threads: cores to use.
    """

    graph: FrozenGraph
    record: ArtifactMetadata
    jobs: Sequence[Job]
    folder: Path
    calibration: CalibrationImages | None = None
    learned: LearnedRanges | None = None
    io: Border = "float32"
    minimum_deployment_target: str | None = None
    keep_float: Sequence[str] = ()
    goal: AccuracyGoal | None = None
    onnx_weights: Literal["uint8", "int8"] = "uint8"
    onnx_layout: OnnxLayout | None = None
    onnx_batch: OnnxBatch | None = None
    threads: int = 2

    def requested(self, job: Job) -> Requested:
        """What a job was asked for."""
        io = self.io if job == TFLITE_INT8 else "float32"
        onnx_weights = self.onnx_weights if job == ONNX_INT8 else None
        layout, batch = (self.onnx_layout, self.onnx_batch) if job.target == "onnx" else (None, None)
        return Requested(
            target=job.target,
            scheme=job.scheme,
            io=io,
            minimum_deployment_target=self.minimum_deployment_target if job.target == "coreml" else None,
            onnx_weights=onnx_weights,
            onnx_layout=layout,
            onnx_batch=batch,
        )


@dataclass(frozen=True)
class Made:
    """The outcome of one job: a file, or why there is none.

    Attributes:
        notes: what a person should know of it; `details`: how it was made.
    """

    job: Job
    path: Path
    requested: Requested
    seconds: float
    error: str = ""
    notes: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)


def artifact_path(conversion: Conversion, job: Job) -> Path:
    """Where an artifact's file goes."""
    return conversion.folder / f"{conversion.record.name}-{job.target}-{job.scheme}{SUFFIXES[job.target]}"


def unexpected(failure: Exception) -> str:
    """What a library's exception becomes in the row of an artifact."""
    return f"expected a conversion that succeeds, found {type(failure).__name__}: {failure}"[:500]
