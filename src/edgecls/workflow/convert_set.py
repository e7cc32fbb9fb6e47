"""convert, for a folder of variants: the base and every variant, one after another, into one artifacts folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecls.errors import ArtifactError, SchemeError
from edgecls.records.artifact import Manifest
from edgecls.records.event import OnEvent, ignore
from edgecls.records.recipe import BASE
from edgecls.records.variant import VariantSet, is_variant_set
from edgecls.workflow.convert import convert
from edgecls.workflow.convert_options import ConvertOptions
from edgecls.workflow.opening import settled_flags
from edgecls.workflow.variants import open_variant
from edgecls.workflow.workers import Workers


def convert_all(options: ConvertOptions, on_event: OnEvent = ignore) -> Manifest:
    """Convert a model, a variant, or a folder of variants with their base; the manifest then tells of them all.

    Raises:
        InputError, StageError: as `convert`.
    """
    if not is_variant_set(options.model):
        return convert(options, on_event)
    with Workers() as workers:
        return [convert(job, on_event, workers) for job in set_options(options).values()][-1]


def set_options(options: ConvertOptions) -> dict[str, ConvertOptions]:
    """Variant, the base first -> how it is converted.

    Raises:
        ArtifactError: the base is gone, or a variant is damaged.
        SchemeError: an option that the variants have settled.
    """
    done = VariantSet.read(options.model)
    if given := [flag for flag, value in settled_flags(options).items() if value is not None]:
        raise SchemeError(f"a model with {given[0]}", f"{options.model}, whose variants bring their own", f"leave {given[0]} out")
    base = Path(done.model)
    if not base.exists():
        raise ArtifactError("the base of the variants", f"nothing at {base}", "put it back, or convert one variant after another")
    weights = Path(done.weights) if done.weights else None
    custom = Path(done.custom_objects) if done.custom_objects else None
    shared = replace(options, output=options.folder)
    opened = {
        "weights": weights,
        "model_output": done.source.output,
        "input_size": done.source.input_size,
        "custom_objects": custom,
    }
    jobs = {BASE: replace(shared, model=base, **opened, base_of=done)}
    for name in done.variants:
        variant = open_variant(options.model / name)
        if variant.ranges is not None:
            refuse_goal_of_trained(name, options.mixed_precision)
        idle: dict[str, Any] = {"estimator": None, "effort": "normal"} if variant.qat else {}  # training learned its ranges
        jobs[name] = replace(shared, model=options.model / name, **idle)
    return jobs


def refuse_goal_of_trained(variant: str, mixed_precision: str | None) -> None:
    """Refuse to look for layers to keep float in a variant that was trained for int8, before another one is converted.

    Raises:
        SchemeError: that was asked.
    """
    if mixed_precision is not None:
        remedy = "leave one of them out, or convert the variants one by one"
        raise SchemeError("variants that were not trained for int8 with --mixed-precision", variant, remedy)
