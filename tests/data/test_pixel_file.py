"""Temporary files of decoded images: gone with their process, however it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgecls.data.pixel_file import PixelWriter
from edgecls.system.private_folder import _sweep_once

KILLED = """
import os, signal
from edgecls.data.pixel_file import PixelWriter
writer = PixelWriter((1, 1, 1), "uint8", 1)
print(writer.finish().path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_files_of_a_killed_process_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = subprocess.run(
        [sys.executable, "-c", KILLED],
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    left = Path(run.stdout.strip())
    assert left.parent.parent == tmp_path and left.exists()
    _sweep_once.cache_clear()
    with PixelWriter((1, 1, 1), "uint8", 1) as first, PixelWriter((1, 1, 1), "uint8", 1) as second:
        assert not left.exists()
        _sweep_once.cache_clear()
        _sweep_once(str(tmp_path))
        assert Path(first.finish().path).exists() and Path(second.finish().path).exists()  # their process is alive
    assert list(tmp_path.iterdir()) == []
