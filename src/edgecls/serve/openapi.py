"""The OpenAPI description of a service."""

from __future__ import annotations

from typing import Any

from edgecls.serve.service import Service


def openapi(service: Service) -> dict[str, Any]:
    """OpenAPI 3.1, of what is served now."""
    return {"openapi": "3.1.0", "info": {"title": "edgecls", "version": "1"}, "paths": {}}
