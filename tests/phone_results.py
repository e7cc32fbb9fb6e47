"""results.json as an app writes it: times alone, and of the device no more than the app is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def phone_results(path: Path, source_sha256: str, p50_ms: dict[str, float], **environment: Any) -> Path:
    """Write the results of these artifacts, `TARGET-SCHEME` at the end of their names."""
    rows = [
        {
            "artifact": name,
            "target": name.split("-")[-2],
            "scheme": name.split("-")[-1],
            "latency": {"runs": 50, "p50_ms": ms, "p90_ms": ms, "p99_ms": ms, "min_ms": ms, "max_ms": ms},
            "engine": {"name": "ONNX Runtime", "version": "1.22.0", "delegate": "CPU"},
        }
        for name, ms in p50_ms.items()
    ]
    content = {
        "schema_version": 2,
        "created": "2026-01-03T08:00:00Z",
        "edgecls_version": "0.1.0",
        "source_sha256": source_sha256,
        "environment": {"platform": "Android 15", **environment},
        "measurements": rows,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
