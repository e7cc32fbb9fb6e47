"""Runners: one engine a file, behind the protocol `edgecls.records.runner.Runner`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import assert_never

from edgecls.formats import detect, read_record
from edgecls.records.image_spec import ImageSpec
from edgecls.records.profile import Profile
from edgecls.records.runner import Runner

__all__ = ["Runner", "labels_in", "open_as", "open_exact", "open_runner", "open_stand_in", "profile_artifact"]


def open_runner(path: Path, *, spec: ImageSpec | None = None, threads: int = 1) -> Runner:
    """Open an artifact with the engine of its format; a Core ML package where there is no Core ML with its reference.

    Args:
        path: a .tflite, .onnx, .mlpackage or .savedmodel.
        spec: the images it takes; None: from the record inside the file, else from its input's shape (the note says so).
        threads: threads of one inference.

    Raises:
        ArtifactError: missing, damaged, of another type, or no image classifier.
        UnsupportedOperationError: an operation that the engine does not have.
    """
    target = detect(path)
    if target == "coreml" and sys.platform != "darwin":
        return open_stand_in(path, spec=spec, threads=threads)
    match target:
        case "tflite":
            from edgecls.runners.tflite import TFLiteRunner as OfFormat
        case "onnx":
            from edgecls.runners.onnx import OnnxRunner as OfFormat
        case "saved_model":
            from edgecls.runners.saved_model import SavedModelRunner as OfFormat
        case "coreml":
            from edgecls.runners.coreml import CoreMLRunner as OfFormat
        case _:
            assert_never(target)
    return OfFormat(path, spec, read_record(path), threads)


def open_as(path: Path, preprocess: str | None = None, fit: str | None = None, filter: str | None = None) -> Runner:
    """Open an artifact; pictures enter it as these choices say.

    Raises:
        InputError: as `open_runner` and `ImageSpec.with_choices`.
    """
    runner = open_runner(path)
    if (preprocess, fit, filter) == (None, None, None):
        return runner
    return open_runner(path, spec=runner.spec.with_choices(preprocess, fit, filter))


def labels_in(path: Path, runner: Runner) -> list[str]:
    """The labels that an open artifact brings, one for each class; none where it brings none."""
    record = read_record(path)
    return record.labels if record else list(runner.labels)


def open_stand_in(path: Path, *, spec: ImageSpec | None = None, threads: int = 1) -> Runner:
    """Open a Core ML package with the reference, wherever Core ML is: it computes the same program.

    Args and errors are those of `open_runner`.
    """
    from edgecls.runners.coreml_reference import CoreMLReferenceRunner

    return CoreMLReferenceRunner(path, spec, read_record(path), threads)


def open_exact(path: Path, *, spec: ImageSpec | None = None, threads: int = 1) -> Runner:
    """Open an .onnx so that no processor clips its sums of int8 products, which costs time.

    Args and errors are those of `open_runner`.
    """
    from edgecls.runners.onnx import OnnxRunner

    return OnnxRunner(path, spec, read_record(path), threads, exact=True)


def profile_artifact(path: Path, *, spec: ImageSpec, threads: int, runs: int) -> Profile:
    """Profile an artifact's operations.

    Args:
        runs: inferences; the median of each operation counts.

    Raises:
        ArtifactError: a Core ML package, whose engine tells nothing of single operations; or it cannot be opened.
    """
    from edgecls.runners.profile import profile_operations

    return profile_operations(path, spec=spec, threads=threads, runs=runs)
