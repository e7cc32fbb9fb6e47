"""The server: uvicorn around the application, and the service's life within its loop."""

from __future__ import annotations

import asyncio
import functools
import math
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgecls.errors import InputError
from edgecls.serve.limits import Limits
from edgecls.serve.offer import Asked
from edgecls.system.extras import require
from edgecls.system.processor import usable_cores

if TYPE_CHECKING:
    import uvicorn

    from edgecls.serve.service import Service

_KEEP_ALIVE_S = 30


@dataclass(frozen=True)
class ServeRequest:
    """What `edgecls serve` was asked.

    Attributes:
        workers: processes that compute; None for one on each core that this process may use.
        token: that clients must send; empty for none.
        stop_s: how long requests that are there may take once the server is told to stop.
    """

    asked: Asked
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int | None = None
    token: str = ""
    stop_s: float = 30.0
    limits: Limits = field(default_factory=Limits)


def serve(request: ServeRequest, tell: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Args:
        tell: told in a sentence what happens.

    Raises:
        InputError: it cannot be served, or the port is taken.
        WorkerError: a worker process ended over an artifact.
        MissingExtraError: without the extra `serve`.
    """
    for module in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
        require(module, "serve")
    import uvicorn

    from edgecls.serve.app import build_app
    from edgecls.serve.connection import Connection
    from edgecls.serve.service import Service

    listener = _listener(request.host, request.port)
    service = Service(request.asked, request.limits, request.workers or usable_cores(), request.token, tell)
    config = uvicorn.Config(
        build_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        http=functools.partial(  # type: ignore[arg-type]
            Connection, head_s=request.limits.timeout_s, most_bytes=request.limits.upload_bytes
        ),
        lifespan="off",
        ws="none",
        proxy_headers=False,
        limit_concurrency=request.limits.connections,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(request.stop_s),
    )
    with listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(service, uvicorn.Server(config), listener, tell))


async def _run(service: Service, server: uvicorn.Server, listener: socket.socket, tell: Callable[[str], None]) -> None:
    """Open everything, then listen; told to stop, answer what is there, then end."""
    opening = asyncio.ensure_future(service.start())

    def stop() -> None:
        opening.cancel()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await opening
        listener.listen(server.config.backlog)  # from here on nobody is refused
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        tell(f"serving {', '.join(service.backend.offer.names)} on http://{shown}:{port}/")
        await server._serve([listener])  # not `serve`, which would raise the signal again before the workers have ended
    except asyncio.CancelledError:
        pass
    finally:
        await service.stop()


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the address is no one's here, or taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(family[4])
        return listener
    except OSError as error:
        raise InputError(
            "an address of this machine with a free port",
            f"{host} port {port}: {error.strerror}",
            "choose others with --host and --port",
        ) from None
