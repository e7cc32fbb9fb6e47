"""What schemathesis cannot make of a schema: pictures. `tests/serve/test_openapi.py` names this file to it."""

from __future__ import annotations

import base64
import io

import schemathesis  # pyright: ignore[reportMissingImports]  # in an environment of its own
from hypothesis import strategies
from PIL import Image


def _picture(kind: str, mode: str, size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, kind)
    return stream.getvalue()


_PICTURES = [_picture(kind, mode, size) for kind in ("PNG", "JPEG", "BMP") for mode in ("L", "RGB") for size in ((1, 1), (9, 5))]

schemathesis.openapi.format("base64-picture", strategies.sampled_from([base64.b64encode(file).decode() for file in _PICTURES]))
for name in ("application/octet-stream", "image/*"):
    schemathesis.openapi.media_type(name, strategies.sampled_from(_PICTURES))
