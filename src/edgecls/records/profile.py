"""Profile: where an inference's time goes, operation by operation."""

from __future__ import annotations

from pydantic import Field

from edgecls.records.amounts import Milliseconds
from edgecls.records.record import Record


class OperationTime(Record):
    """Time of one operation in one inference.

    Attributes:
        operation: its type in the engine's words.
        name: its place in the graph, where the engine tells.
        ms: median over the inferences.
        share: of all operations' time, 0..1.
        dtype: what it computes in, where known: `int8`, `float32` …
        accelerated: whether the delegate or a kernel of the requested dtype ran it; None where unknown.
    """

    operation: str
    name: str = ""
    ms: Milliseconds
    share: float
    dtype: str = ""
    accelerated: bool | None = None


class Profile(Record):
    """Where an inference's time goes, operation by operation. Profiling costs time itself: shares count, not sums.

    Attributes:
        operations: the slowest first; empty where the engine times no single operation.
        float_share: share of the time spent in operations that compute in float, 0..1.
        unaccelerated_share: share of the time outside the delegate, or in conversions between dtypes and layouts.
        words: what follows from it, one sentence each.
    """

    runs: int
    total_ms: Milliseconds
    operations: list[OperationTime]
    float_share: float | None = None
    unaccelerated_share: float | None = None
    words: list[str] = Field(default_factory=list)
