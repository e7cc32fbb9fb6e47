"""The web application: which path leads where."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, compile_path

from edgecls.serve import metrics
from edgecls.serve.endpoints import (
    VERSION,
    Asking,
    Head,
    Receive,
    Scope,
    Send,
    require_no_query,
    require_token,
    resolve,
)
from edgecls.serve.openapi import openapi
from edgecls.serve.protocols import open_inference, tensorflow_serving
from edgecls.serve.question import RefusedError, error_body
from edgecls.serve.service import Service

_PAGE = Path(__file__).parent / "page"
_FILES = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_MODEL_V1, _MODEL_V2 = "/v1/models/{name}", "/v2/models/{name}"
_VERSIONED = "/versions/{version}"


def build_app(service: Service) -> Any:
    """The ASGI application of a service."""
    asking = _asking(service)
    routes = [Route(path, endpoint, methods=["POST"]) for path, endpoint in asking.items()]
    starlette = Starlette(
        routes=[*routes, *_telling(service), *_page()],
        exception_handlers={HTTPException: _http_error, RefusedError: _refused, Exception: _broken},
    )
    # a redirection would lead to `http` on the host that the client names, behind a proxy past its TLS
    starlette.router.redirect_slashes = False
    return _Observed(starlette, service, asking)


class _Observed:
    """Counts every request with its status and time. What is asked goes straight to its endpoint: Starlette's own way there, through
    routes and middleware, takes as long as all else that happens to a request in this process.

    Args:
        asking: endpoints of POST by their paths.
    """

    def __init__(self, app: Any, service: Service, asking: dict[str, Asking]) -> None:
        self._app, self._service = app, service
        self._asking = [(compile_path(path)[0], endpoint) for path, endpoint in asking.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def note_status(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._endpoint_of(scope)(scope, receive, note_status)
        finally:
            endpoint = getattr(scope.get("endpoint"), "endpoint", "other")
            self._service.metrics.observe(endpoint, status, time.perf_counter() - began)

    def _endpoint_of(self, scope: Scope) -> Any:
        if scope["method"] == "POST":
            for pattern, endpoint in self._asking:
                if found := pattern.fullmatch(scope["path"]):
                    scope["path_params"], scope["endpoint"] = found.groupdict(), endpoint
                    return endpoint
        return self._app


def _asking(service: Service) -> dict[str, Asking]:
    predict = Asking(service, "predict", "predict")
    v1 = Asking(service, "tensorflow_serving", "v1")
    v2 = Asking(service, "open_inference", "v2")
    return {
        "/predict": predict,
        _MODEL_V1 + ":predict": v1,
        _MODEL_V1 + _VERSIONED + ":predict": v1,
        _MODEL_V2 + "/infer": v2,
        _MODEL_V2 + _VERSIONED + "/infer": v2,
    }


def _telling(service: Service) -> list[Route]:
    """What is only looked up."""

    def told(path: str, tell: Callable[[Request], Any], *, is_open: bool = False) -> Route:
        async def endpoint(request: Request) -> Response:
            head = Head.of(request.scope)
            if not is_open:
                require_token(service, head)
            require_no_query(head, frozenset())
            found = tell(request)
            return found if isinstance(found, Response) else JSONResponse(found)

        endpoint.endpoint = "told"  # type: ignore[attr-defined]  # what it is counted under
        return Route(path, endpoint, methods=["GET"])

    def card_of(request: Request) -> Any:
        path = request.path_params
        return service.backend.cards[resolve(service.backend, path["name"], path.get("version", VERSION))]

    def status_v1(request: Request) -> Any:
        card_of(request)
        return tensorflow_serving.status_of(VERSION)

    def metadata_v1(request: Request) -> Any:
        return tensorflow_serving.metadata_of(card_of(request), request.path_params["name"], VERSION)

    def metadata_v2(request: Request) -> Any:
        return open_inference.metadata_of(card_of(request), request.path_params["name"], VERSION)

    def ready_v2(request: Request) -> Any:
        card_of(request)
        return {"name": request.path_params["name"], "ready": True}

    def is_ready(request: Request) -> Response:
        is_ready = service.is_ready
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    routes = [
        told("/healthz", lambda request: {"live": True}, is_open=True),
        told("/readyz", is_ready, is_open=True),
        told("/metrics", lambda request: Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)),
        told("/openapi.json", lambda request: openapi(service)),
        told("/artifacts", lambda request: _artifacts(service)),
        told("/v2", lambda request: _SERVER),
        told("/v2/health/live", lambda request: {"live": True}, is_open=True),
        told("/v2/health/ready", is_ready, is_open=True),
    ]
    for version in (_VERSIONED, ""):
        routes += [
            told(_MODEL_V1 + version + "/metadata", metadata_v1),
            told(_MODEL_V1 + version, status_v1),
            told(_MODEL_V2 + version + "/ready", ready_v2),
            told(_MODEL_V2 + version, metadata_v2),
        ]
    return routes


_SERVER = {"name": "edgecls", "version": VERSION, "extensions": ["binary_tensor_data", "classification"]}


def _artifacts(service: Service) -> dict[str, Any]:
    """What the page needs to know."""
    backend = service.backend
    return {
        "artifacts": [
            {
                "name": card.name,
                "format": card.target,
                "scheme": card.scheme,
                "width": card.spec.width,
                "height": card.spec.height,
                "channels": card.spec.channels,
                "classes": len(card.labels),
                "note": card.note,
            }
            for card in (backend.cards[name] for name in backend.offer.names)
        ],
        "upload_bytes": service.limits.upload_bytes,
    }


def _page() -> list[Route]:
    def shown(name: str, kind: str) -> Callable[[Request], Any]:
        content = (_PAGE / name).read_bytes()

        async def endpoint(request: Request) -> Response:
            return Response(content, media_type=kind, headers=_PAGE_HEADERS)

        endpoint.endpoint = "page"  # type: ignore[attr-defined]
        return endpoint

    return [Route(path, shown(name, kind), methods=["GET"]) for path, (name, kind) in _FILES.items()]


def _error(status: int, message: str, headers: Any = None) -> Response:
    return Response(error_body(message), status, headers, media_type="application/json")


async def _http_error(request: Request, error: Any) -> Response:
    words = {404: "expected a path of /openapi.json", 405: "expected another method for this path"}
    return _error(error.status_code, words.get(error.status_code, "this request cannot be answered"), error.headers)


async def _refused(request: Request, error: Any) -> Response:
    return _error(error.status, error.message, {"www-authenticate": "Bearer"} if error.status == 401 else None)


async def _broken(request: Request, error: Exception) -> Response:
    return _error(500, "this server is at fault; its log says more")
