"""Damaged uploads to a server: `python tests/damaged_uploads.py 10000` counts what is answered. Nothing but 4xx may come of damage, or 200
where it left something that can still be read."""

from __future__ import annotations

import base64
import io
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import damage
from served import SIZE, Answer, Server, write_classifier

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_BYTES = "application/octet-stream"
_FORM = "multipart/form-data; boundary=xyz"


def uploads(count: int, seed: int = 0) -> Iterator[tuple[str, str, bytes]]:
    """Path, content type and damaged body of so many uploads, of every kind in turn."""
    rng = random.Random(seed)
    sound = _sound()
    for number in range(count):
        path, kind, body = sound[number % len(sound)]
        yield path, kind, damage.damaged(body, rng)


def answered(server: Server, count: int, seed: int = 0) -> tuple[Counter[int], list[Answer]]:
    """How often each status came back, and the answers that must not have been."""
    statuses: Counter[int] = Counter()
    wrong: list[Answer] = []
    for path, kind, body in uploads(count, seed):
        found = server.ask("POST", path, body, Content_Type=kind)
        statuses[found.status] += 1
        if found.status != 200 and not 400 <= found.status < 500:
            wrong.append(found)
    return statuses, wrong


def _sound() -> list[tuple[str, str, bytes]]:
    """Undamaged requests of every kind."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    files = []
    for name in _FORMATS:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, name)
        files.append(stream.getvalue())
    text = base64.b64encode(files[0]).decode()
    form = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + files[1] + b"\r\n--xyz--\r\n"
    tensor = np.full((1, SIZE, SIZE, 3), 0.5).tolist()
    v2 = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, SIZE, SIZE, 3], "data": tensor}]}
    values = {
        "/predict": {"image": text},
        "/v1/models/tiny:predict": {"instances": [{"b64": text}]},
        "/v1/models/tiny/versions/1:predict": {"instances": tensor},
        "/v2/models/tiny/infer": v2,
    }
    return [
        *(("/predict", _BYTES, content) for content in files),
        ("/predict", _FORM, form),
        *((path, "application/json", json.dumps(value).encode()) for path, value in values.items()),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Server([write_classifier(Path(folder) / "tiny.tflite")]) as running:
        found_statuses, found_wrong = answered(running, int(sys.argv[1]))
        losses = running.metric("edgecls_worker_losses_total")
    print(f"{dict(sorted(found_statuses.items()))}, {losses:.0f} workers lost")
    print(*found_wrong, sep="\n")
    sys.exit(bool(found_wrong))
