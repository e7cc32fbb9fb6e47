"""Optimization: how a search ended: `optimize.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edgecls.records.instant import Instant
from edgecls.records.measurement import Measurement
from edgecls.records.record import FileRecord
from edgecls.records.trial import Goal, Trial

OPTIMIZATION_NAME = "optimize.json"


class Optimization(FileRecord):
    """All trials of a search and its pick.

    Attributes:
        against: what accuracy is held against: the user's own model, or one that was trained as long without compression.
        halves: held-out images that choose, and that judge.
        reference: the float model's row on the choosing half.
        pick: name of the candidate to ship; None where none is within the limit.
        sentence: what to ship and why, or why nothing.
        advice: what would help, where there is no pick that is smaller than post-training int8.
        ended: why the search ended.
    """

    kind = f"an {OPTIMIZATION_NAME}"
    place = f"a folder with {OPTIMIZATION_NAME}"
    remedy = "run `edgecls optimize` again"

    schema_version: int = FileRecord.versions[-1]
    created: Instant
    edgecls_version: str
    source_sha256: str
    goal: Goal
    against: Literal["base", "control"]
    halves: tuple[int, int]
    reference: Measurement
    trials: list[Trial]
    pick: str | None = None
    sentence: str
    advice: list[str] = Field(default_factory=list)
    ended: str
    seconds: float
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Optimization:
        """The record in the folder of a search.

        Raises:
            ArtifactError: none there, damaged, or of another schema version.
        """
        return cls.read_file(folder / OPTIMIZATION_NAME)
