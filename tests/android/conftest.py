"""The Android sample with a small model in it, tested and packaged by `tools/android`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from small_model import CLONE, Built, embedded_sample


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sample, built once."""
    artifacts, sample = embedded_sample(tmp_path_factory.mktemp("android"))
    done = subprocess.run([sys.executable, CLONE / "tools/android", sample], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    return Built(artifacts, sample, done.stdout)
