"""Engine: what really ran an artifact."""

from __future__ import annotations

from edgecls.records.record import Record


class Engine(Record):
    """What really ran the artifact.

    Attributes:
        name, version: `LiteRT`, `ONNX Runtime`, `Core ML`.
        delegate: what accelerates it, as found in effect: `XNNPACK`, `CPUExecutionProvider`; `none` where nothing does.
        verified: whether the engine itself was asked; otherwise it is its documented default.
        operations, delegated_operations: nodes the engine runs, and how many of the file's own the delegate took over.
        note: what a reader should know.
    """

    name: str
    version: str = ""
    delegate: str = ""
    verified: bool = False
    operations: int | None = None
    delegated_operations: int | None = None
    note: str = ""
