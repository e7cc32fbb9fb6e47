"""From the frozen graph to artifacts in every format. The support table says what is possible; one hub model serves all targets."""

from __future__ import annotations

from edgecls.converters.conversion import CalibrationImages, Conversion, Made
from edgecls.converters.making import convert_jobs
from edgecls.converters.support import Job, parse_targets, plan_jobs
from edgecls.quantization.ranges import Effort

__all__ = [
    "CalibrationImages",
    "Conversion",
    "Effort",
    "Job",
    "Made",
    "convert_jobs",
    "parse_targets",
    "plan_jobs",
]
