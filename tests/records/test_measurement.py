"""results.json: its schema is published, and what stands in a file of another kind is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgecls.errors import ArtifactError
from edgecls.records.accuracy import Confusion
from edgecls.records.report import Report, results_schema

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "results.schema.json"
VERSION_1: dict[str, Any] = {  # as `edgecls bench` wrote it before version 2
    "schema_version": 1,
    "created": "2026-11-01T12:00:00Z",
    "edgecls_version": "0.1.0",
    "source_sha256": None,
    "image_spec": None,
    "environment": {
        "platform": "Linux", "machine": "x86_64", "processor": "AMD", "cores": 2, "memory_bytes": 1, "python": "3.11.7",
        "packages": {},
    },
    "data": {"path": "x.npz", "images": 3, "labelled": True, "note": ""},
    "notes": [],
    "measurements": [
        {
            "artifact": "a", "path": "a.tflite", "target": "tflite", "scheme": "int8", "status": "ok", "reason": "",
            "size_bytes": 5, "compressed_bytes": 4, "accuracy": {"images": 3, "top1": 1.0, "top5": None},
            "flips": {"reference": "b", "images": 3, "count": 1},
            "latency": {
                "runs": 2, "p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 1.0, "min_ms": 1.0, "max_ms": 1.0, "samples_ms": [1.0, 1.0],
                "warmup_runs": 2,
            },
            "load_ms": 1.0, "first_inference_ms": 1.0, "peak_memory_bytes": 1, "threads": 1,
        }
    ],
}  # fmt: skip
PHONE: dict[str, Any] = {  # what a sample on a phone knows, and no more
    "schema_version": 2,
    "created": "2026-11-01T12:00:00Z",
    "edgecls_version": "0.1.0",
    "environment": {
        "platform": "Android 15", "machine": "arm64-v8a", "processor": "Tensor G3", "cores": 9, "memory_bytes": 8 << 30,
        "device": "Pixel 8",
    },
    "measurements": [
        {
            "artifact": "a", "target": "tflite", "scheme": "int8",
            "latency": {"runs": 50, "p50_ms": 1.0, "p90_ms": 1.2, "p99_ms": 1.3, "min_ms": 0.9, "max_ms": 2.0},
        }
    ],
}  # fmt: skip


def write(folder: Path, content: object) -> Path:
    path = folder / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_published_schema_is_the_models() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == results_schema(), "run `make schema`"


@pytest.mark.parametrize("content", [VERSION_1, PHONE], ids=["version 1", "phone"])
def test_older_results_and_those_of_phones_are_read(content: dict[str, Any], tmp_path: Path) -> None:
    report = Report.read(write(tmp_path, content))
    assert report.measurements[0].latency is not None
    assert report.measurements[0].latency.p50_ms == 1.0
    jsonschema.validate(content, json.loads(results_schema()))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"surprise": 1}, "Additional properties"),
        ({"measurements": None}, "is not of type 'array'"),
        ({"created": 5}, "is not of type 'string'"),
    ],
)
def test_the_schema_refuses_what_reading_refuses(change: dict[str, Any], where: str, tmp_path: Path) -> None:
    content = {**PHONE, **change}
    with pytest.raises(jsonschema.ValidationError, match=where):
        jsonschema.validate(content, json.loads(results_schema()))
    if "created" not in change:  # reading also takes a time as a number
        with pytest.raises(ArtifactError):
            Report.read(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "which is empty"),
        ("{", "the file: Invalid JSON"),
        ("[]", "no schema_version"),
        ({**VERSION_1, "schema_version": 3}, "version 3"),
        ({**VERSION_1, "schema_version": 3, "new": 1}, "version 3"),
        ({**VERSION_1, "measurements": [{"artifact": "a"}]}, "measurements.0.target: Field required"),
    ],
)
def test_other_files_are_refused_in_one_line(content: object, found: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        Report.read(write(tmp_path, content))
    assert found in caught.value.found
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        Report.read(tmp_path / "none.json")


def test_a_confusion_matrix_without_its_zeros() -> None:
    assert Confusion(classes=3, entries=[(0, 0, 5), (2, 1, 1)]).dense() == [[5, 0, 0], [0, 0, 0], [0, 1, 0]]
