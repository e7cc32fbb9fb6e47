"""Connection: uvicorn's, with fewer calls of the system for each answer."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_STATUS_LINE, _END_OF_HEAD = b"HTTP/1.1 ", b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100"


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which writes the head of an answer and its body together."""

    def connection_made(self, transport: Any) -> None:
        """Of asyncio."""
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]


class _Joining:
    """A transport that keeps the head of an answer until its body follows, which it does at once: nothing here is streamed."""

    def __init__(self, transport: Any) -> None:
        self._transport, self._head = transport, b""

    def write(self, data: bytes) -> None:
        if not self._head and _is_head(data):
            self._head = data
            return
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _is_head(data: bytes) -> bool:
    return data.startswith(_STATUS_LINE) and data.endswith(_END_OF_HEAD) and not data.startswith(_CONTINUE)
