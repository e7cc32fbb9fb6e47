"""Where the iOS sample is, and what runs Swift."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

CLONE = Path(__file__).parents[1]
SAMPLE = CLONE / "ios_sample"
KIT = SAMPLE / "EdgeclsKit"

Swift = Callable[..., subprocess.CompletedProcess[str]]
