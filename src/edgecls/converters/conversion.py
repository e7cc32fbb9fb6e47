"""Conversion: makes all artifacts of one model. TFLite and ONNX share a hub and run here; Core ML runs beside them in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgecls.converters.support import Job
from edgecls.errors import EdgeclsError, StageError
from edgecls.quantization.ranges import Estimator
from edgecls.quantization.scales import is_float16
from edgecls.records.artifact import SUFFIXES, Border, OnnxBatch, OnnxLayout, Requested
from edgecls.records.counted import counted
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.worker import Worker, preload, release_memory

if TYPE_CHECKING:
    import onnx

    from edgecls.converters.coreml.int8 import SharedInt8
    from edgecls.formats.tflite.graph import TFLiteGraph
    from edgecls.quantization.accuracy_goal import AccuracyGoal
    from edgecls.quantization.int8 import Quantized
    from edgecls.quantization.learned import LearnedRanges
    from edgecls.quantization.mixed_precision import Found
    from edgecls.quantization.parameters import Parameters

COREML_PRELOAD = ("tensorflow", "coremltools")
ONNX_INT8, TFLITE_INT8 = Job("onnx", "int8"), Job("tflite", "int8")
_SHOWN = 4  # tensors that a note names


@dataclass(frozen=True)
class CalibrationImages:
    """The images that int8 ranges are measured on.

    Attributes:
        batches: opens the images anew, as model inputs [n, *input_shape], float32.
        estimator: range estimator, None for the one that loses least on these images.
    """

    batches: Callable[[], Iterable[np.ndarray]]
    estimator: Estimator | None = None


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


@dataclass(frozen=True)
class Made:
    """The outcome of one job: a file, or why there is none."""

    job: Job
    path: Path
    requested: Requested
    seconds: float
    error: str = ""
    notes: list[str] = field(default_factory=list)


def coreml_worker() -> Worker:
    """A worker that imports what Core ML conversion needs while the caller still loads the model."""
    worker = Worker({"TF_CPP_MIN_LOG_LEVEL": "3"})
    worker.start(preload, COREML_PRELOAD)
    return worker


def convert_jobs(conversion: Conversion, worker: Worker | None = None) -> Iterator[Made]:
    """Make every artifact; each is handed out when it is finished, failed ones too.

    Args:
        conversion: what to make.
        worker: from `coreml_worker`, where Core ML is among the jobs; None to convert it in this process.

    Raises:
        SchemeError: `keep_float` names a layer that the model does not have.
    """
    from edgecls.converters.coreml.jobs import CoreMLJobs, check_coreml

    hub = _Hub(conversion)
    _ = hub.float_layers  # a name that is wrong is the user's mistake: no artifact is made then
    coreml = [job for job in conversion.jobs if job.target == "coreml"]
    check_coreml(conversion, coreml, worker)
    early = CoreMLJobs(conversion, [job for job in coreml if job.scheme != "int8"], worker)
    early.start()
    here = [job for job in conversion.jobs if job.target != "coreml"]
    yield from hub.make(sorted(here, key=lambda job: job.scheme == "int8"))  # int8 last: the others need not wait
    int8 = CoreMLJobs(conversion, [job for job in coreml if job.scheme == "int8"], worker)
    int8.start(hub.shared_int8)
    yield from early.finish()
    for made in int8.finish():
        yield hub.tell_int8(made)


def artifact_path(conversion: Conversion, job: Job) -> Path:
    """Where an artifact's file goes."""
    return conversion.folder / f"{conversion.record.name}-{job.target}-{job.scheme}{SUFFIXES[job.target]}"


class _Hub:
    """The float32 TFLite model and what is derived from it; each part is made once, when a job first needs it."""

    def __init__(self, conversion: Conversion) -> None:
        self.conversion, self._spec = conversion, conversion.record.image_spec

    def make(self, jobs: Sequence[Job]) -> Iterator[Made]:
        for job in jobs:
            started, path = time.perf_counter(), artifact_path(self.conversion, job)
            error = ""
            try:
                path.write_bytes(self._bytes(job))
            except EdgeclsError as failure:
                error = str(failure)
            except Exception as failure:  # noqa: BLE001 - border to four libraries: one artifact fails, the others go on
                error = unexpected(failure)
            made = Made(job, path, self._requested(job), time.perf_counter() - started, error, self._notes(job, error))
            yield self.tell_int8(made) if job.scheme == "int8" else made

    def tell_int8(self, made: Made) -> Made:
        """What was made, with what the quantization decided."""
        if made.error:
            return made
        goal = self.conversion.goal
        update = {
            "estimator": self.quantized.estimator,
            "keep_float": sorted(self.quantized.float_layers),
            "mixed_precision": f"drop<={goal.points:g}" if goal else None,
        }
        return replace(made, requested=made.requested.model_copy(update=update), notes=self._notes(made.job, made.error))

    def shared_int8(self) -> SharedInt8:
        """What Core ML takes over from the quantization."""
        from edgecls.converters.coreml.int8 import share_int8
        from edgecls.quantization.int8 import Tensors

        return share_int8(self._spec, self.onnx, Tensors(self.float_graph).values_in(self.onnx), self.parameters)

    def _notes(self, job: Job, error: str) -> list[str]:
        """What is worth telling about an artifact; what concerns several of them, with the first."""
        if error:
            return []
        tellers = {Job("coreml", "int8"): self._narrow_note, ONNX_INT8: self._signed_note, TFLITE_INT8: self._border_note}
        own = [*tellers.get(job, list)(), *self._input_notes(job)]
        if job != next(other for other in self.conversion.jobs if self._shared(other) == self._shared(job)):
            return own
        return [*self._mediapipe_note(job), *(self._int8_notes() if job.scheme == "int8" else ()), *own]

    def _shared(self, job: Job) -> object:
        return job.scheme if job.scheme == "int8" else job.target

    def _mediapipe_note(self, job: Job) -> list[str]:
        from edgecls.converters.tflite.metadata import mediapipe_refusal

        refusal = mediapipe_refusal(self._spec, self._requested(job).io, len(self.conversion.record.heads) or 1)
        return [f"not for MediaPipe Tasks' ImageClassifier: {refusal}"] if refusal and job.target == "tflite" else []

    def _narrow_note(self) -> list[str]:
        """Which tensors Core ML leaves float because float16, its dtype of scales, does not hold theirs."""
        from edgecls.quantization.float_layers import layer_names, short_name

        layers = layer_names(self.float_graph)
        scales = {short_name(name, layers): float(affine.scale[0]) for name, affine in self.parameters.activations.items()}
        found = [f"{name} ({scale:.2g})" for name, scale in scales.items() if not is_float16(scale)]
        shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        return [f"{counted(len(found), 'tensor')} stayed float: float16 does not hold their scale: {shown}"] if found else []

    def _signed_note(self) -> list[str]:
        from edgecls.converters.onnx.qdq import SIGNED_WEIGHTS

        return [SIGNED_WEIGHTS] if self.conversion.onnx_weights == "int8" else []

    def _border_note(self) -> list[str]:
        from edgecls.converters.tflite.uint8_border import describe_border

        return [describe_border(self.tflite_int8, self._spec)] if self.conversion.io == "uint8" else []

    def _input_notes(self, job: Job) -> list[str]:
        """How many images ONNX files take at a time where that is not free, and their axes where they are not the model's."""
        from edgecls.converters.onnx.input import about_input

        if job != next((other for other in self.conversion.jobs if other.target == "onnx"), None):
            return []
        return about_input(self.onnx, self.conversion.record.image_spec, self.conversion.onnx_layout, self.conversion.onnx_batch)

    def _int8_notes(self) -> list[str]:
        from edgecls.quantization.float_layers import layer_names

        goal, found = self.conversion.goal, self.search
        return [self.calibrated.origin, *([found.told(goal, layer_names(self.float_graph))] if goal and found else [])]

    def _bytes(self, job: Job) -> bytes:
        from edgecls.converters.onnx.convert import float16_onnx, stamp
        from edgecls.converters.onnx.input import with_layout_of
        from edgecls.converters.tflite.metadata import write_tflite
        from edgecls.quantization.reduced import reduce_tflite

        record = self.conversion.record
        if job.target == "tflite":
            if job.scheme == "float32":
                return write_tflite(self.tflite, record)
            if job.scheme == "int8":
                return write_tflite(self.tflite_int8, record)
            return write_tflite(reduce_tflite(self.float_graph, job.scheme), record)
        record = with_layout_of(record, self.conversion.onnx_layout)
        if job.scheme == "float16":
            return stamp(float16_onnx(self.asked_onnx), record)
        if job.scheme == "int8":
            signed = self._signed_note()
            return stamp(self.qdq, record, {"processors": signed[0]} if signed else {})
        return stamp(self.asked_onnx, record)

    def _requested(self, job: Job) -> Requested:
        io = self.conversion.io if job == TFLITE_INT8 else "float32"
        onnx_weights = self.conversion.onnx_weights if job == ONNX_INT8 else None
        layout, batch = (self.conversion.onnx_layout, self.conversion.onnx_batch) if job.target == "onnx" else (None, None)
        return Requested(
            target=job.target, scheme=job.scheme, io=io, onnx_weights=onnx_weights, onnx_layout=layout, onnx_batch=batch
        )

    @cached_property
    def tflite(self) -> bytes:
        from edgecls.converters.tflite.convert import float_tflite
        from edgecls.converters.tflite.metadata import add_signature

        model = add_signature(float_tflite(self.conversion.graph), self.conversion.record.heads)
        release_memory()
        return model

    @cached_property
    def float_graph(self) -> TFLiteGraph:
        """The float32 TFLite model taken apart; passes change copies of it."""
        from edgecls.formats.tflite.graph import TFLiteGraph

        return TFLiteGraph(self.tflite)

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        from edgecls.converters.onnx.convert import float_onnx

        model = float_onnx(self.float_graph)
        release_memory()
        return model

    @cached_property
    def asked_onnx(self) -> onnx.ModelProto:
        """The same with the input that was asked for."""
        from edgecls.converters.onnx.input import with_input

        return with_input(self.onnx, self.conversion.record.image_spec, self.conversion.onnx_layout, self.conversion.onnx_batch)

    @property
    def quantized(self) -> Quantized:
        """The int8 model that ships, its layers chosen."""
        return self.search.quantized if self.search else self.calibrated

    @cached_property
    def tflite_int8(self) -> bytes:
        """The int8 file without its metadata."""
        return self._with_border(self.quantized)

    def _with_border(self, quantized: Quantized) -> bytes:
        """The TFLite file with the border that was asked for, which no other format takes over."""
        from edgecls.converters.tflite.uint8_border import take_uint8

        if self.conversion.io == "float32":
            return quantized.model
        model = quantized.with_int8_border(quantized.float_layers)
        return take_uint8(model, self._spec) if self.conversion.io == "uint8" else model

    @cached_property
    def _searched(self) -> Found | StageError | None:
        from edgecls.quantization.mixed_precision import keep_fewest

        if self.conversion.goal is None:
            return None
        try:
            return keep_fewest(self.float_graph, self.calibrated, self.conversion.goal, self._with_border)
        except StageError as failure:  # kept, so that the next int8 file does not search for what is not there again
            return failure

    @property
    def search(self) -> Found | None:
        """Which layers the accuracy goal makes stay float; None without a goal.

        Raises:
            StageError: it cannot be reached.
        """
        if isinstance(self._searched, StageError):
            raise self._searched
        return self._searched

    @cached_property
    def calibrated(self) -> Quantized:
        from edgecls.quantization.int8 import quantize
        from edgecls.quantization.learned import UnlearnedError, quantize_learned

        conversion, calibration, remark = self.conversion, self.conversion.calibration, ""
        settings: dict[str, Any] = {"float_layers": self.float_layers}
        if conversion.learned is not None:
            try:
                return quantize_learned(self.float_graph, conversion.learned, **settings)
            except UnlearnedError as error:
                if calibration is None:
                    raise
                remark = f"; not the learned ones, of which there is {error.found}"
        if calibration is None:
            raise StageError("calibration images for int8", "none", "plan jobs with plan_jobs, which refuses this")
        settings |= {"estimator": calibration.estimator, "threads": conversion.threads}
        quantized = quantize(self.float_graph, self.onnx, calibration.batches, **settings)
        return replace(quantized, remark=remark)

    @cached_property
    def float_layers(self) -> frozenset[str]:
        from edgecls.quantization.float_layers import layer_names, resolve_layers

        asked = self.conversion.keep_float
        return resolve_layers(asked, layer_names(self.float_graph)) if asked else frozenset()

    @cached_property
    def qdq(self) -> onnx.ModelProto:
        from edgecls.converters.onnx.qdq import emit_qdq

        signed = self.conversion.onnx_weights == "int8"
        return emit_qdq(self.asked_onnx, self.parameters, self.quantized.float_layers, signed_weights=signed)

    @cached_property
    def parameters(self) -> Parameters:
        from edgecls.quantization.parameters import read_parameters

        return read_parameters(self.quantized.model)


def unexpected(failure: Exception) -> str:
    """What a library's exception becomes in the row of an artifact."""
    return f"expected a conversion that succeeds, found {type(failure).__name__}: {failure}"[:500]
