"""What `optimize` is asked, and what of it is refused before any work."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgecls.converters.support import SUPPORT
from edgecls.errors import InputError, OutputError
from edgecls.records.artifact import FORMATS, Scheme
from edgecls.records.recipe import Training
from edgecls.records.trial import Goal
from edgecls.reporting.units import format_bytes
from edgecls.system.machine import Machine
from edgecls.workflow.opening import ModelOptions, require_paths

_ROOM = 40  # times the model's bytes: what some tens of trials leave behind


@dataclass(frozen=True)
class OptimizeRequest(ModelOptions):
    """What `edgecls optimize` was asked.

    Attributes:
        data: labelled images to train on; some are held out from that, and its test part stays unseen.
        training: how each stage is fine-tuned; its share of held-out images is cut into the two halves.
        output: where everything goes; None for `<model>.optimized` in the working directory.
        seconds: how long it may take.
        trials: most trials in all, those of an earlier call included; None for any number.
        against: what accuracy is held against: the model as it is, or one that was trained as long without compression.
        machine: where latency is measured; None for here.
        scheduler: address of a Dask scheduler whose workers make the trials.
    """

    data: Path
    goal: Goal
    training: Training = field(default_factory=Training)
    output: Path | None = None
    seconds: float = 1800.0
    trials: int | None = None
    against: Literal["base", "control"] = "base"
    calibration_images: int = 500
    machine: Machine | None = None
    scheduler: str | None = None

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.output or Path(f"{self.model.resolve().name}.optimized")


def check_request(request: OptimizeRequest) -> None:
    """Refuse what cannot come to an end, before any work.

    Raises:
        DataError: no images or labels there.
        InputError: options that contradict each other.
        OutputError: no room for the trials.
    """
    require_paths({"--data": request.data, "--labels": request.labels})
    if request.machine is not None and request.goal.minimize != "latency":
        found = f"--latency-on {request.machine.name} beside --minimize {request.goal.minimize}"
        raise InputError("--minimize latency together with --latency-on", found, "leave one of them out")
    if (
        request.goal.minimize == "latency"
        and "coreml" in request.goal.targets
        and request.machine is None
        and sys.platform != "darwin"
    ):
        remedy = "name a Mac with --latency-on, or leave coreml out of --targets"
        raise InputError("a Mac to measure the latency of Core ML on", "this machine, which is none", remedy)
    if request.trials is not None and request.trials < 1:
        raise InputError("at least one trial", f"--trials {request.trials}", "leave --trials out for any number")
    if not common_schemes(request.goal):
        formats = ", ".join(FORMATS[target] for target in request.goal.targets)
        raise InputError("targets that have int8", formats, "choose others with --targets")
    _require_room(request)


def common_schemes(goal: Goal) -> list[Scheme]:
    """Schemes that every target has; float32 is what they are held against."""
    schemes: list[Scheme] = list(dict.fromkeys(scheme for _, scheme in SUPPORT if scheme != "float32"))
    return [scheme for scheme in schemes if all((target, scheme) in SUPPORT for target in goal.targets)]


def _require_room(request: OptimizeRequest) -> None:
    place = request.folder.absolute()
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    if not there.is_dir():
        raise OutputError("a folder to write to", f"{there}, which is a file", "choose another with -o")
    size = request.model.stat().st_size if request.model.is_file() else 0
    free = shutil.disk_usage(there).free
    if free < _ROOM * size:
        expected = f"about {format_bytes(_ROOM * size)} for the trials, {_ROOM} times the model"
        found = f"{there} with {format_bytes(free) or 'nothing'} free"
        raise OutputError(expected, found, "free some space, or choose another place with -o")
