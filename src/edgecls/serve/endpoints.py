"""Endpoints: how a request comes in, is refused or asked of the backend, and its reply goes out."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from edgecls.serve.backend import Backend
from edgecls.serve.question import Protocol, Question, RefusedError, Reply, error_body
from edgecls.serve.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

VERSION = "1"  # the one version of every model, whatever is reloaded
MOST_TOP = 1000
_JSON = b"application/json"
_TENSORS = b"application/octet-stream"
_JSON_BYTES = "inference-header-content-length"
_READ_ON = 4  # times the limit
_NUMBER = re.compile(r"[0-9]{1,9}")  # int() would also take signs, spaces and underscores


class _GoneError(Exception):
    """The client hung up."""


@dataclass(frozen=True)
class Head:
    """What a request's head says beside its path."""

    headers: dict[str, str]
    query: dict[str, str]

    @classmethod
    def of(cls, scope: Scope) -> Head:
        """Read from an ASGI scope.

        Raises:
            RefusedError: a query that names something twice.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        raw = scope["query_string"]
        if not raw:
            return cls(headers, {})
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise RefusedError(400, "expected each query parameter once, found one twice")
        return cls(headers, query)


class Asking:
    """A POST endpoint of one protocol, as ASGI.

    Args:
        endpoint: what its requests are counted under.
    """

    def __init__(self, service: Service, protocol: Protocol, endpoint: str) -> None:
        self._service, self.endpoint = service, endpoint
        self._protocol: Protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            head = Head.of(scope)
            require_token(self._service, head)
            backend = self._service.backend
            artifact, top = self._asked(scope, head, backend)
            reply = await self._answered(scope, head, receive, backend, artifact, top)
        except RefusedError as refusal:
            reply = Reply(refusal.status, error_body(refusal.message), headers=_CLOSE if refusal.ends_connection else ())
        except _GoneError:
            return
        await send_reply(send, reply)

    def _asked(self, scope: Scope, head: Head, backend: Backend) -> tuple[str, int]:
        """The artifact and the number of classes that a request names."""
        if self._protocol != "predict":
            path = scope["path_params"]
            require_no_query(head, frozenset())
            return resolve(backend, path["name"], path.get("version", VERSION)), 0
        require_no_query(head, frozenset(("top", "artifact")))
        top = head.query.get("top", "3")
        if not _NUMBER.fullmatch(top) or not 1 <= int(top) <= MOST_TOP:
            raise RefusedError(400, f"expected top to be a number from 1 to {MOST_TOP}")
        return resolve(backend, head.query.get("artifact"), VERSION), int(top)

    async def _answered(self, scope: Scope, head: Head, receive: Receive, backend: Backend, artifact: str, top: int) -> Reply:
        service, limits = self._service, self._service.limits
        size = _announced(head, limits.upload_bytes)
        if service.requests_inside >= limits.waiting or service.bytes_inside + size > limits.waiting_bytes:
            raise RefusedError(503, "as many requests as this server takes are waiting; send it again")
        service.requests_inside += 1
        service.bytes_inside += size
        backend.enter()
        try:
            body = await _body(receive, limits.upload_bytes, limits.timeout_s)
            json_bytes = _json_bytes(head) if self._protocol == "open_inference" else None
            question = Question(self._protocol, artifact, head.headers.get("content-type", ""), top, json_bytes, VERSION, body)
            ticket = await backend.ask(question)
            if ticket.sent_at:
                service.metrics.queue_seconds.observe(ticket.sent_at - ticket.asked_at)
            return ticket.reply.result()
        finally:
            backend.leave()
            service.requests_inside -= 1
            service.bytes_inside -= size


def require_token(service: Service, head: Head) -> None:
    """Refuse who has no token, where one is asked.

    Raises:
        RefusedError: it is missing, or another.
    """
    if not service.token:
        return
    scheme, _, given = head.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), service.token.encode()):
        raise RefusedError(401, "expected the header `Authorization: Bearer TOKEN` with this server's token")


def require_no_query(head: Head, known: frozenset[str]) -> None:
    """Refuse query parameters that mean nothing here.

    Raises:
        RefusedError: there is one.
    """
    if head.query.keys() - known:
        raise RefusedError(400, f"expected {'the parameters ' + ', '.join(sorted(known)) if known else 'no query parameters'}")


def resolve(backend: Backend, name: str | None, version: str) -> str:
    """The artifact that a path or query names; the first of the offer for None.

    Raises:
        RefusedError: there is none of that name, or version.
    """
    found = backend.offer.served[0].name if name is None else backend.offer.resolve(name)
    if found is None:
        raise RefusedError(404, f"expected a model among {', '.join(backend.offer.names)}")
    if version != VERSION:
        raise RefusedError(404, f"expected version {VERSION}, the only one")
    return found


async def send_reply(send: Send, reply: Reply) -> None:
    """Put a reply on the wire."""
    headers = [(b"content-type", _JSON if reply.json_bytes is None else _TENSORS)]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    if reply.json_bytes is not None:
        headers.append((_JSON_BYTES.encode(), str(reply.json_bytes).encode()))
    headers += (*_EXTRA.get(reply.status, ()), *reply.headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


_CLOSE = ((b"connection", b"close"),)
_EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    408: _CLOSE,
    503: ((b"retry-after", b"1"),),
}


def _announced(head: Head, most: int) -> int:
    """Bytes to keep for a body: as announced, else as many as are taken.

    Raises:
        RefusedError: more than are taken.
    """
    length = head.headers.get("content-length")
    if length is None:
        return most
    if not _NUMBER.fullmatch(length) or int(length) > most:
        # A client that is still sending hears of a closed connection, not of 413; reading on is worth it where that has an end.
        ends = not _NUMBER.fullmatch(length) or int(length) > _READ_ON * most
        raise RefusedError(413, f"expected a body of at most {most} bytes, found {length[:20]}", ends_connection=ends)
    return int(length)


def _json_bytes(head: Head) -> int | None:
    length = head.headers.get(_JSON_BYTES)
    if length is None:
        return None
    if not _NUMBER.fullmatch(length):
        raise RefusedError(400, f"expected {_JSON_BYTES} to be a number of bytes")
    return int(length)


async def _body(receive: Receive, most: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises:
        RefusedError: too long, or too late.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _GoneError
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise RefusedError(413, f"expected a body of at most {most} bytes, found more", ends_connection=True)
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise RefusedError(408, f"expected the body within {timeout_s:g} s") from None
