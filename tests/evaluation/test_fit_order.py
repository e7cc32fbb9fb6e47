"""Preprocessing in two orders of the channels: the other one is taken where it is better beyond chance, else the best of the usual."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edgecls.evaluation import fit
from edgecls.records.image_spec import ImageSpec

SPEC = ImageSpec(height=4, width=4, channels=3)


@pytest.mark.parametrize(("is_better", "best"), [(False, "-1..1"), (True, "0..1,order=BGR")])
def test_first(monkeypatch: pytest.MonkeyPatch, is_better: bool, best: str) -> None:
    scores = {"0..1,order=BGR": 0.90, "-1..1": 0.89, "0..1": 0.85}
    monkeypatch.setattr(fit, "_check", lambda *given: None)
    monkeypatch.setattr(fit, "_answers", lambda exams, *given: {exam.name: exam.name for exam in exams})
    monkeypatch.setattr(fit, "_accuracy", lambda answers, labels: scores.get(answers, 0.1))
    monkeypatch.setattr(fit, "_is_better", lambda *given, tried: is_better)
    images = SimpleNamespace(spec=SPEC, pixels=None, labels=None)
    ranked = fit.fit_preprocess(Path("model.tflite"), images, open_runner=lambda path: None)  # pyright: ignore[reportArgumentType]
    assert ranked[0] == (best, scores[best])
    assert dict(ranked)["0..1"] == 0.85
