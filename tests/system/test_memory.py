"""What the C library does with memory that is freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from edgecls.system.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):  # one array makes the heap as large as it gets
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**20, np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="mallopt is glibc's")
def test_what_is_freed_is_kept_also_where_dask_says_otherwise() -> None:
    """A hundred arrays of 1 MiB, one after the other, take each page from the system anew, or hardly any."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = {
        name: int(subprocess.run([sys.executable, "-c", _FAULTS, name], env=environment, check=True, capture_output=True).stdout)
        for name in ("given back", "kept")
    }
    assert faults["kept"] < faults["given back"] / 10  # of the pages of all of them, where these are not large ones
