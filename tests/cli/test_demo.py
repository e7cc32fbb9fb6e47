"""The demo as a newcomer sees it: a screen of text, with the answer on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCREEN = 40  # lines


@pytest.mark.slow
def test_the_demo_fits_on_a_screen_and_ends_with_what_to_ship_and_what_to_type_next(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecls.cli", "demo"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) + len(done.stderr.splitlines()) <= SCREEN, done.stdout + done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    flowing = " ".join(done.stdout.split())
    for name in ("TFLite", "ONNX", "Core ML"):
        assert f"{name}: " in flowing.split("To ship: ")[1]
    assert " convert model.keras --calibration" in done.stderr
    assert "<html" in (tmp_path / "demo/report.html").read_text(encoding="utf-8")
