"""Connection: uvicorn's, with fewer calls of the system for each answer, and an end to waiting for a request's head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_STATUS_LINE, _END_OF_HEAD = b"HTTP/1.1 ", b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100"
_MOST_PARTS = 1024  # each takes more memory than its few bytes, where a client makes them as small as it can


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which writes the head of an answer and its body together.

    uvicorn ends a connection that is idle between two requests, and no other: one on which nothing comes at first, or a head byte by byte,
    would hold its place for as long as its client likes.

    Args:
        head_s: within which a request's head has to come, once the connection is made or its first byte is there; likewise the rest of a
            body that was answered before it was whole.
        most_bytes: of a body that is handed over whole; of a longer one uvicorn hands over what has come, and reads on when asked.
    """

    def __init__(self, *args: Any, head_s: float, most_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_s, self._most_bytes = head_s, most_bytes
        self._parts: list[bytes] = []
        self._gathered_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Of asyncio."""
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        super().data_received(data)
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        """Of the parser."""
        self._parts, self._gathered_bytes = [], 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Of the parser: parts are gathered until the body is whole, longer than any that is taken, or in strangely many parts."""
        if self.cycle.response_complete:
            return
        self._parts.append(body)
        self._gathered_bytes += len(body)
        if self._gathered_bytes > self._most_bytes or len(self._parts) >= _MOST_PARTS:
            self._hand_over()

    def on_message_complete(self) -> None:
        """Of the parser."""
        if self._parts and not self.cycle.body:
            self.cycle.body = b"".join(self._parts)  # type: ignore[assignment]  # uvicorn's bytearray would grow by copying
        else:
            self._hand_over()
        self._parts = []
        super().on_message_complete()

    def _hand_over(self) -> None:
        super().on_body(b"".join(self._parts))
        self._parts.clear()

    def on_headers_complete(self) -> None:
        """Of the parser."""
        self._await_no_head()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Of uvicorn."""
        self.transport.flush()  # type: ignore[union-attr]  # an answer to HEAD has no body that its head could wait for
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._await_no_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._late = self.loop.call_later(self._head_s, self.transport.close)

    def _await_no_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Joining:
    """A transport that keeps the head of an answer until its body follows, which it does at once: nothing here is streamed.

    An answer without one ends with `flush`.
    """

    def __init__(self, transport: Any) -> None:
        self._transport, self._head = transport, b""

    def write(self, data: bytes) -> None:
        if not self._head and _is_head(data):
            self._head = data
            return
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def flush(self) -> None:
        """Write a head that no body follows."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _is_head(data: bytes) -> bool:
    return data.startswith(_STATUS_LINE) and data.endswith(_END_OF_HEAD) and not data.startswith(_CONTINUE)
