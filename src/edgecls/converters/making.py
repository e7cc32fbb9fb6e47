"""Making: the jobs of a conversion one after another. Core ML packages are made in a worker, beside all others here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from edgecls.converters.conversion import Conversion, Made, artifact_path, unexpected
from edgecls.converters.coreml.jobs import CoreMLJobs, check_coreml
from edgecls.converters.hub import Hub
from edgecls.converters.notes import Notes
from edgecls.converters.saved_model.convert import write_saved_model
from edgecls.converters.support import Job
from edgecls.errors import EdgeclsError, StageError
from edgecls.system.worker import Worker, preload

COREML_PRELOAD = ("tensorflow", "coremltools")


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
    hub = Hub(conversion)
    notes = Notes(hub)
    _ = hub.float_layers  # a name that is wrong is the user's mistake: no artifact is made then
    coreml = [job for job in conversion.jobs if job.target == "coreml"]
    check_coreml(conversion, coreml, worker)
    early = CoreMLJobs(conversion, [job for job in coreml if job.scheme != "int8"], worker)
    early.start()
    here = [job for job in conversion.jobs if job.target != "coreml"]
    for made in _make(hub, notes, sorted(here, key=lambda job: job.scheme == "int8")):  # int8 last: the others need not wait
        yield made
        if early.are_done:  # so that they are examined meanwhile
            yield from early.finish()
    int8 = CoreMLJobs(conversion, [job for job in coreml if job.scheme == "int8"], worker)
    int8.start(hub.shared_int8)
    yield from early.finish()
    for made in int8.finish():
        yield made if made.error else _told(notes, _tell_int8(hub, made))


def _make(hub: Hub, notes: Notes, jobs: Sequence[Job]) -> Iterator[Made]:
    """All but the Core ML packages."""
    conversion = hub.conversion
    for job in jobs:
        started, path = time.perf_counter(), artifact_path(conversion, job)
        error, told = "", list[str]()
        try:
            told = _write(hub, job, path)
        except EdgeclsError as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 - border to four libraries: one artifact fails, the others go on
            error = unexpected(failure)
        made = Made(job, path, conversion.requested(job), time.perf_counter() - started, error, told)
        yield made if error else _told(notes, _tell_int8(hub, made) if job.scheme == "int8" else made)


def _write(hub: Hub, job: Job, path: Path) -> list[str]:
    """Write one artifact; what a person should know of it."""
    match job.target:
        case "tflite" | "onnx":
            path.write_bytes(hub.content(job.target, job.scheme))
            return []
        case "saved_model":
            return write_saved_model(path, hub.conversion.graph, hub.conversion.record)
        case "coreml":
            raise StageError("a file that this process makes", "a Core ML package", "make it with CoreMLJobs")
        case _:
            assert_never(job.target)


def _tell_int8(hub: Hub, made: Made) -> Made:
    """What was made, with what the quantization decided."""
    goal = hub.conversion.goal
    update = {
        "estimator": hub.quantized.estimator,
        "keep_float": sorted(hub.quantized.float_layers),
        "mixed_precision": f"drop<={goal.points:g}" if goal else None,
    }
    return replace(made, requested=made.requested.model_copy(update=update))


def _told(notes: Notes, made: Made) -> Made:
    return replace(made, notes=[*made.notes, *notes.of(made.job)], details=notes.details_of(made.job))
