"""The Swift toolchain, and the package built and tested once by it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ios_sample import CLONE, KIT, Swift


@pytest.fixture(scope="session")
def swift() -> Swift:
    """Run a command where Swift is, in the clone; keywords become variables of its environment."""
    entrance = os.environ.get("SWIFT")
    if not entrance:
        pytest.fail("no Swift toolchain: run `make test-ios`, which makes or finds one first")

    def run(*command: str | Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
        words = [entrance, "env", *(f"{name}={value}" for name, value in variables.items()), *map(str, command)]
        return subprocess.run(words, cwd=CLONE, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def output(swift: Swift) -> Path:
    """What the package's own tests left, all of which passed."""
    folder = KIT / ".build/test-output"  # in the clone, which the toolchain sees wherever it is
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = swift("swift", "test", "--configuration", "release", "--package-path", KIT, TEST_OUTPUT=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
