"""Artifacts are handed out as soon as they are made, so that they are examined while the next ones are."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgecls.converters import Conversion, Job, convert_jobs, making
from edgecls.errors import StageError
from edgecls.records.artifact import Scheme, Target

JOBS = [Job("tflite", "float32"), Job("tflite", "int8"), Job("onnx", "int8"), Job("coreml", "float16")]


class Hub:
    """Makes nothing; the package is done when `done_with` is."""

    def __init__(self, conversion: Conversion, package: Future[Any], done_with: Job | None) -> None:
        self.conversion, self.package, self.done_with = conversion, package, done_with
        self.float_layers, self.failing = frozenset[str](), frozenset[Job]()
        self.quantized = SimpleNamespace(estimator="minmax", float_layers=())
        self.shared_int8 = lambda: None

    def content(self, target: Target, scheme: Scheme) -> bytes:
        if Job(target, scheme) in self.failing:
            raise StageError("a file", "none", "try another")
        if Job(target, scheme) == self.done_with:
            self.package.set_result({})
        return b"a file"


@pytest.mark.parametrize(
    ("done_with", "order"),
    [
        (JOBS[0], ["tflite float32", "coreml float16", "tflite int8", "onnx int8"]),
        (JOBS[1], ["tflite float32", "tflite int8", "coreml float16", "onnx int8"]),
    ],
)
def test_core_ml_packages_do_not_wait_for_int8(done_with: Job, order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package: Future[Any] = Future()
    record: Any = SimpleNamespace(name="base")
    graph: Any = None
    worker: Any = SimpleNamespace(start=lambda *_, **__: package)
    conversion = Conversion(graph=graph, record=record, jobs=JOBS, folder=tmp_path)
    (tmp_path / "base-coreml-float16.mlpackage").mkdir()
    monkeypatch.setattr(making, "Hub", lambda conversion: Hub(conversion, package, done_with))
    monkeypatch.setattr(making, "Notes", lambda hub: SimpleNamespace(of=lambda job: [], details_of=lambda job: []))
    made = list(convert_jobs(conversion, worker))
    assert [f"{item.job.target} {item.job.scheme}" for item in made] == order
    assert not [item.error for item in made if item.error]


@pytest.mark.parametrize(("failing", "teller"), [((), "tflite"), ((JOBS[1],), "onnx")])
def test_what_concerns_several_is_told_with_the_first_that_is_made(
    failing: tuple[Job, ...], teller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Told with the first that was planned, it was lost with it, where that one failed."""
    spec = SimpleNamespace(layout="HWC", color_order="RGB", mean=(0.0,), std=(1.0,), channels=3)
    record: Any = SimpleNamespace(name="base", heads=[], image_spec=spec)
    graph: Any = None
    conversion = Conversion(graph=graph, record=record, jobs=JOBS[1:3], folder=tmp_path)
    hub = Hub(conversion, Future(), None)
    hub.failing = frozenset(failing)
    hub.calibrated = SimpleNamespace(origin="int8 ranges from 24 images")  # type: ignore[attr-defined]
    hub.search, hub.onnx = None, None  # type: ignore[attr-defined]
    monkeypatch.setattr(making, "Hub", lambda conversion: hub)
    monkeypatch.setattr("edgecls.converters.onnx.input.about_input", lambda *_: [])
    made = list(convert_jobs(conversion))
    assert [item.job.target for item in made if "int8 ranges from 24 images" in item.details] == [teller]
