"""What `convert` is asked, and what of it is refused before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from edgecls.converters import Effort, Job
from edgecls.errors import InputError, SchemeError
from edgecls.records.artifact import DEFAULT_TARGETS, Activation, Border, Estimator, OnnxBatch, OnnxLayout, Target
from edgecls.records.variant import Variant, VariantSet
from edgecls.system.processor import usable_cores
from edgecls.workflow.opening import ModelOptions, require_paths, settled_flags
from edgecls.workflow.variants import source_name

OnnxWeights = Literal["uint8", "int8"]
_MOST_IMAGES = 1024  # that an ONNX file may be made to take at once


@dataclass(frozen=True)
class ConvertOptions(ModelOptions):
    """What `edgecls convert` was asked; the model may also be the folder of a variant that `compress` made.

    Attributes:
        output: artifacts folder, None for `<model>.artifacts` in the working directory.
        schemes: as the user wrote them, None for all that are possible.
        keep_float: layers that stay float in int8 files, by their names in the model or in its float TFLite file.
        onnx_weights: how the ONNX int8 file stores its kernels (see `converters.onnx.qdq`).
        onnx_layout: axes of the ONNX files' input, None for those of the model.
        onnx_batch: how many images the ONNX files take at once, None for any number where the model allows it.
        mixed_precision: `drop<=0.5`: the fewest layers stay float that keep int8 within so many percentage points on `data`.
        activation: put behind a model of logits, in every artifact.
        calibration: images that int8 ranges are measured on.
        data: labelled images that `bench` should use later; also used to verify.
        base_of: where `model` is the base of variants, their record: image spec and labels come from there.
    """

    output: Path | None = None
    targets: tuple[Target, ...] = DEFAULT_TARGETS
    schemes: str | None = None
    calibration: Path | None = None
    calibration_images: int = 500
    data: Path | None = None
    activation: Activation | None = None
    io: Border = "float32"
    estimator: Estimator | None = None
    effort: Effort = "normal"
    minimum_deployment_target: str | None = None
    keep_float: tuple[str, ...] = ()
    mixed_precision: str | None = None
    onnx_weights: OnnxWeights = "uint8"
    onnx_layout: OnnxLayout | None = None
    onnx_batch: OnnxBatch | None = None
    verify: bool = True
    base_of: VariantSet | None = None
    threads: int = field(default_factory=usable_cores)

    @property
    def folder(self) -> Path:
        """Where the artifacts go; those of variants by default where those of their base go."""
        return self.output or Path(f"{source_name(self.model)}.artifacts")


def check_options(options: ConvertOptions, jobs: Sequence[Job], variant: Variant | None) -> None:
    """Refuse options that nothing would heed, and paths where nothing is.

    Args:
        jobs: the artifacts that will be made.
        variant: of which `options.model` is the folder.

    Raises:
        SchemeError, DataError, InputError.
    """
    _refuse_unknown_choices(options)
    _refuse_idle_options(options, jobs)
    batch = options.onnx_batch
    if not (batch is None or batch == "free" or (type(batch) is int and 0 < batch <= _MOST_IMAGES)):
        raise InputError(f"--onnx-batch between 1 and {_MOST_IMAGES}, or free", repr(batch), "write as --onnx-batch 1")
    if variant:
        _refuse_settled_options(options, learned=variant.ranges is not None)
    require_paths({"--calibration": options.calibration, "--data": options.data, "--labels": options.labels})


def learns_ranges(options: ConvertOptions) -> bool:
    """Whether int8 takes the ranges that another tool's training left in the model. Options about calibration ask for calibrated ones.

    Raises:
        ModelFileError, UnsafeModelError, UnsupportedModelError: no model that could be read.
    """
    from edgecls.models import was_trained_for_int8

    calibrates = options.estimator or options.mixed_precision or options.effort != "normal"
    return not calibrates and was_trained_for_int8(options.model)


def _refuse_unknown_choices(options: ConvertOptions) -> None:
    choices: dict[str, tuple[object, tuple[object, ...]]] = {
        "--io": (options.io, get_args(Border)),
        "--estimator": (options.estimator, (None, *get_args(Estimator))),
        "--effort": (options.effort, get_args(Effort)),
        "--onnx-weights": (options.onnx_weights, get_args(OnnxWeights)),
        "--onnx-layout": (options.onnx_layout, (None, *get_args(OnnxLayout))),
        "activation": (options.activation, (None, *get_args(Activation))),  # of --add-softmax and --add-sigmoid
    }
    for option, (value, known) in choices.items():
        if value not in known:
            raise InputError(
                f"{option} among {', '.join(str(choice) for choice in known if choice)}", repr(value), "choose one of them"
            )


def _refuse_idle_options(options: ConvertOptions, jobs: Sequence[Job]) -> None:
    """An option that none of the planned artifacts would heed is a mistake."""
    int8, onnx = any(job.scheme == "int8" for job in jobs), any(job.target == "onnx" for job in jobs)
    idle = {
        f"--io {options.io}": (options.io != "float32" and Job("tflite", "int8") not in jobs, "the scheme tflite:int8"),
        "--onnx-weights int8": (options.onnx_weights == "int8" and Job("onnx", "int8") not in jobs, "the scheme onnx:int8"),
        "--onnx-layout": (options.onnx_layout is not None and not onnx, "the target onnx"),
        "--onnx-batch": (options.onnx_batch is not None and not onnx, "the target onnx"),
        "--mixed-precision": (options.mixed_precision is not None and not int8, "the scheme int8"),
        "--keep-float": (bool(options.keep_float) and not int8, "the scheme int8"),
        "--estimator": (options.estimator is not None and not int8, "the scheme int8"),
        "--effort high": (options.effort != "normal" and not int8, "the scheme int8"),
        "--minimum-deployment-target": (
            options.minimum_deployment_target is not None and not any(job.target == "coreml" for job in jobs),
            "the target coreml",
        ),
    }
    for option, (is_idle, needed) in idle.items():
        if is_idle:
            raise SchemeError(f"{needed} together with {option}", "a run without it", "ask for it, or leave the option out")


def _refuse_settled_options(options: ConvertOptions, *, learned: bool) -> None:
    """A variant keeps what its model was compressed with."""
    settled = {
        "--estimator": options.estimator if learned else None,
        "--effort": options.effort if learned and options.effort != "normal" else None,
        "--mixed-precision": options.mixed_precision if learned else None,
        **settled_flags(options),
    }
    given = [flag for flag, value in settled.items() if value is not None]
    if given:
        raise SchemeError(f"a model with {given[0]}", f"{options.model}, a variant that brings its own", f"leave {given[0]} out")
