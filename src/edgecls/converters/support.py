"""The support table: which scheme each target can be made in, and what it needs. Checked before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast, get_args

from edgecls.errors import SchemeError
from edgecls.records.artifact import TARGETS, Scheme, Target


@dataclass(frozen=True)
class Support:
    """How one scheme exists in one target.

    Attributes:
        by_default: whether it is made when no schemes are asked for.
    """

    needs_calibration: bool = False
    by_default: bool = True


SUPPORT: dict[tuple[Target, Scheme], Support] = {
    ("tflite", "float32"): Support(),
    ("tflite", "float16"): Support(),
    ("tflite", "dynamic"): Support(),
    ("tflite", "int8"): Support(needs_calibration=True),
    ("onnx", "float32"): Support(),
    ("onnx", "float16"): Support(),
    ("onnx", "int8"): Support(needs_calibration=True),
    ("saved_model", "float32"): Support(),
    ("coreml", "float32"): Support(),
    ("coreml", "float16"): Support(),
    ("coreml", "int8"): Support(needs_calibration=True),
    ("coreml", "weight8"): Support(),
    ("coreml", "weight4"): Support(by_default=False),
    ("coreml", "palette8"): Support(by_default=False),
    ("coreml", "palette6"): Support(by_default=False),
    ("coreml", "palette4"): Support(by_default=False),
    ("coreml", "palette2"): Support(by_default=False),
    ("coreml", "sparse"): Support(by_default=False),
    ("coreml", "sparse-palette4"): Support(by_default=False),
    ("coreml", "sparse-weight8"): Support(by_default=False),
}


class Job(NamedTuple):
    """One artifact to make."""

    target: Target
    scheme: Scheme


def parse_targets(text: str) -> list[Target]:
    """Read `tflite,coreml`.

    Raises:
        SchemeError: empty, or a target nobody knows.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    _require_targets(names)
    return [cast(Target, name) for name in dict.fromkeys(names)]


def plan_jobs(targets: Sequence[Target], schemes: str | None, *, calibrated: bool) -> list[Job]:
    """Say which artifacts to make.

    Args:
        targets: the targets asked for.
        schemes: `float32,int8` (each for every target that has it) or `tflite:int8,onnx:float32`; None for those that are made by default.
        calibrated: whether calibration images are given.

    Raises:
        SchemeError: no target, or one nobody knows; an unknown scheme, one that no asked target has, or one that needs calibration images
            where there are none.
    """
    _require_targets(targets)
    if not isinstance(schemes, str | None):  # as a list, which targets are
        raise SchemeError("schemes divided by commas in one text", repr(schemes), "write as 'float32,tflite:int8'")
    if schemes is None:
        return [
            Job(*key)
            for key, support in SUPPORT.items()
            if key[0] in targets and support.by_default and (calibrated or not support.needs_calibration)
        ]
    wanted = {job for item in schemes.split(",") if item.strip() for job in _jobs_named(item.strip(), targets)}
    if not wanted:
        raise SchemeError("at least one scheme", repr(schemes), f"choose among {_choices(targets)}")
    uncalibrated = [job for job in sorted(wanted) if SUPPORT[job].needs_calibration and not calibrated]
    if uncalibrated:
        raise SchemeError(
            f"calibration images for {uncalibrated[0].target} {uncalibrated[0].scheme}",
            "none",
            "add --calibration PATH (a folder of about 100 images, or an .npz)",
        )
    return [Job(*key) for key in SUPPORT if key in wanted]


def _require_targets(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        found = repr(unknown[0]) if unknown else "none"
        raise SchemeError(f"targets among {', '.join(TARGETS)}", found, "name them, divided by commas")


def _jobs_named(item: str, targets: Sequence[Target]) -> list[Job]:
    target, _, scheme = item.rpartition(":")
    jobs = [Job(*key) for key in SUPPORT if key[0] in targets and key[1] == scheme and target in ("", key[0])]
    if not jobs:
        known = {name for _, name in SUPPORT} | set(get_args(Scheme))
        found = f"{item!r}" if scheme in known else f"unknown scheme {item!r}"
        raise SchemeError(f"a scheme of {', '.join(targets)}", found, f"choose among {_choices(targets)}")
    return jobs


def _choices(targets: Sequence[Target]) -> str:
    return ", ".join(f"{target}:{scheme}" for target, scheme in SUPPORT if target in targets)
