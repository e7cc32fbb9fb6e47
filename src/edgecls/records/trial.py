"""Trial: one candidate of a search, which could be written by hand as a recipe, and what came of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgecls.records.artifact import Estimator, Scheme, Target
from edgecls.records.instant import Instant
from edgecls.records.measurement import Measurement
from edgecls.records.recipe import UNSTRUCTURED, Recipe, Stage, Value, control_name, variant_name
from edgecls.records.record import FileRecord

TRIAL_NAME = "trial.json"
Minimize = Literal["download", "size", "latency"]
TrialStatus = Literal["measured", "given up", "failed"]


class Goal(Value):
    """What a search looks for.

    Attributes:
        within_points: percentage points of accuracy that may be lost against the float model.
        minimize: what is to be small: bytes after deflate, bytes on disk, or the median of the latency.
        targets: the formats that are made; each has to be within the limit.
    """

    within_points: float = Field(ge=0, lt=100)
    minimize: Minimize
    targets: tuple[Target, ...] = Field(min_length=1)


class Candidate(Value):
    """A way to make one artifact for each target: what `edgecls compress` does to the weights, and how `edgecls convert` writes them.

    Attributes:
        recipe: with a single variant to make, of all its techniques; None where nothing is trained.
        longer: how many times the epochs of the search its recipe has.
        estimator: of int8 ranges; None for the one that loses least on the calibration images.
        mixed_precision: as `drop<=0.5`; None for int8 throughout.
    """

    scheme: Scheme = "int8"
    estimator: Estimator | None = None
    mixed_precision: str | None = None
    recipe: Recipe | None = None
    longer: int = Field(default=1, ge=1)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What is trained, in this order; empty for none, and for the control."""
        return self.recipe.techniques if self.recipe else ()

    def start(self, length: int) -> tuple[tuple[Stage, ...], int]:
        """Its first stages and how long they are trained: where this is the same, so is the variant that they make."""
        return self.stages[:length], self.longer

    @property
    def variant(self) -> str:
        """Name of the variant that is converted."""
        return control_name(1) if self.recipe and not self.stages else variant_name(self.stages)

    @property
    def name(self) -> str:
        """As `pruned50-qat-int8`, `pruned50(8x1)-int8`, `base-mse-int8`, `base-mixed0.5-int8`, `pruned50-qat(12epochs)-int8`."""
        variant = self.variant
        pruning = self.recipe.pruning if self.recipe else None
        if pruning and pruning.pattern != UNSTRUCTURED:
            variant = variant.replace(pruning.name, f"{pruning.name}({pruning.pattern})")
        if self.recipe and self.longer > 1:
            variant += f"({self.recipe.training.epochs}epochs)"
        how = f"mixed{self.mixed_precision.removeprefix('drop<=')}" if self.mixed_precision else self.estimator
        return "-".join(part for part in (variant, how, self.scheme) if part)


class Trial(FileRecord):
    """What came of a candidate: `trial.json`, in a folder with its variants and artifacts.

    Attributes:
        fingerprint: hash of the candidate and of all that the result depends on.
        choosing, judging: its artifacts, measured on one half of the held-out images and on the other; judging is empty where the first
            half has decided.
        choosing_drop, judging_drop: percentage points that the worst of them loses on that half; None where it was not asked.
        value: what is to be small, over all targets: bytes, or latency as a multiple of the float model's in the same run.
        held_out_loss: after each epoch of the last stage.
        keep_float: operations of int8 files that an accuracy goal left in float.
        trained: stages that were trained for it and not kept from before.
        seconds: all of it.
    """

    kind = f"a {TRIAL_NAME}"
    remedy = "remove it, and the trial is made anew"

    schema_version: int = FileRecord.versions[-1]
    created: Instant
    candidate: Candidate
    fingerprint: str
    status: TrialStatus
    reason: str = ""
    choosing: list[Measurement] = Field(default_factory=list)
    judging: list[Measurement] = Field(default_factory=list)
    choosing_drop: float | None = None
    judging_drop: float | None = None
    value: float | None = None
    held_out_loss: list[float] = Field(default_factory=list)
    keep_float: list[str] = Field(default_factory=list)
    trained: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Trial:
        """The record in a trial's folder.

        Raises:
            ArtifactError: none there, damaged, or of another schema version.
        """
        return cls.read_file(path / TRIAL_NAME)

    @property
    def drop(self) -> float | None:
        """Percentage points lost on all images that were asked: both halves are alike."""
        known = [drop for drop in (self.choosing_drop, self.judging_drop) if drop is not None]
        return sum(known) / len(known) if known else None

    def is_chosen(self, points: float) -> bool:
        """Whether the choosing half finds it within the limit."""
        return self.value is not None and self.choosing_drop is not None and round(self.choosing_drop, 6) <= points

    def holds(self, points: float) -> bool:
        """Whether both halves find it within the limit."""
        return self.is_chosen(points) and self.judging_drop is not None and round(self.judging_drop, 6) <= points
