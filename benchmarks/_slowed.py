"""A runner that takes a little longer than it should; workers import it by name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.runners import open_runner

SLOWDOWN = 0.05


def open_slowed(path: Path, **arguments: Any) -> Any:
    """The runner of an artifact; that of `slowed.*` waits, busy, for SLOWDOWN of its usual time behind each inference."""
    runner: Any = open_runner(path, **arguments)
    if path.stem != "slowed":
        return runner
    invoke, clock = runner.invoke, time.perf_counter_ns
    samples = []
    for _ in range(50):
        start = clock()
        invoke()
        samples.append(clock() - start)
    extra = int(SLOWDOWN * float(np.median(samples[10:])))

    def slowed() -> None:
        invoke()
        end = clock() + extra
        while clock() < end:
            pass

    runner.invoke = slowed
    return runner
