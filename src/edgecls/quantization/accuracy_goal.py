"""AccuracyGoal: how much accuracy int8 may cost, and how to measure it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgecls.errors import SchemeError

Half = Literal["choosing", "judging"]
HALVES: tuple[Half, ...] = ("choosing", "judging")
_GOAL = re.compile(r"\s*drop\s*<=\s*(\d+(?:\.\d*)?|\.\d+)\s*")


def parse_goal(text: str, option: str = "--mixed-precision") -> float:
    """Read `drop<=0.5`, which an option of the command line holds: percentage points.

    Raises:
        SchemeError: something else.
    """
    found = _GOAL.fullmatch(text)
    points = float(found[1]) if found else 100.0
    if points >= 100:
        raise SchemeError(f"{option} 'drop<=POINTS', percentage points below 100", repr(text), "write 'drop<=0.5'")
    return points


@dataclass(frozen=True)
class AccuracyGoal:
    """How much accuracy int8 may cost, and how to measure it.

    Attributes:
        points: percentage points at most.
        measure: drop in percentage points of a TFLite model (second) against the float one (first), on one half of the images.
        of: what drops: top-1 on labelled images, mean average precision where labels are multi-hot, or agreement with the float model on
            images without labels.
        images: number of images in the choosing and in the judging half.
    """

    points: float
    measure: Callable[[bytes, bytes, Half], float]
    of: Literal["top-1", "mAP", "agreement"]
    images: tuple[int, int]
