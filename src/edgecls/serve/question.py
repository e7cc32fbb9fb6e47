"""Question and Reply: what crosses from the web server to a worker process and back."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

Protocol = Literal["predict", "tensorflow_serving", "open_inference"]
# json.dumps would make one for each answer
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Question(NamedTuple):
    """One request, not read further than its head.

    Attributes:
        protocol: whose rules the body follows.
        artifact: which answers.
        content_type: as it came; empty for none.
        top: classes that are told, where the protocol tells the best ones.
        json_bytes: of a body that is JSON followed by binary tensors, the length of the JSON; None: no such body.
        version: part of a model's path that the answer repeats; empty for none.
        body: as it came; in a worker a view of memory that the next questions will take.
    """

    protocol: Protocol
    artifact: str
    content_type: str = ""
    top: int = 3
    json_bytes: int | None = None
    version: str = ""
    body: bytes | memoryview = b""


class Reply(NamedTuple):
    """One answer, ready to be sent.

    Attributes:
        status: of HTTP.
        body: JSON, unless `json_bytes` says what follows it.
        json_bytes: as in `Question`.
        compute_ms: time in the engine.
        headers: beside those that follow from status and body.
    """

    status: int
    body: bytes
    json_bytes: int | None = None
    compute_ms: float = 0.0
    headers: tuple[tuple[bytes, bytes], ...] = ()


class RefusedError(Exception):
    """A request that cannot be answered, and is the sender's to mend.

    Args:
        status: of HTTP, 400 to 499.
        message: what was expected and what was found.
        ends_connection: whether what is left of the body is not read.
    """

    def __init__(self, status: int, message: str, *, ends_connection: bool = False) -> None:
        self.status, self.message, self.ends_connection = status, message, ends_connection
        super().__init__(status, message)


def error_body(message: str) -> bytes:
    """What every refusal says, in all protocols."""
    return to_json({"error": message})


def to_json(value: Any) -> bytes:
    """JSON without spaces. Half a surrogate pair, which JSON can hold and UTF-8 cannot, stays escaped as it came."""
    return _ENCODER.encode(value).encode(errors="backslashreplace")
