"""Runs a command and measures it with all its child processes: wall time and peak memory; and what has to be done before that."""

from __future__ import annotations

import compileall
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import edgecls

_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Run:
    """One finished command.

    Attributes:
        peak_bytes: largest sum, over the process and all its descendants at one moment, of the proportional set size (PSS: private pages
            plus each process's share of shared ones), sampled every 0.1 s. 0 where there is no /proc.
    """

    seconds: float
    peak_bytes: int
    stdout: str


def measure(command: Sequence[str | Path]) -> Run:
    """Run to the end.

    Raises:
        SystemExit: the command failed; its stderr is in the message.
    """
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sampler = _Sampler(process.pid)
    sampler.start()
    stdout, stderr = process.communicate()
    seconds = time.monotonic() - start
    sampler.stop()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}\n{stderr[-4000:]}")
    return Run(seconds, sampler.peak_bytes, stdout)


def compile_modules() -> None:
    """Compile the modules of edgecls, as pip does where it installs them and Python where it may write: the libraries' are compiled."""
    compileall.compile_dir(Path(edgecls.__file__).parent, quiet=1)


class _Sampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            self.peak_bytes = max(self.peak_bytes, sum(_pss_bytes(pid) for pid in _descendants(self._pid)))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except (OSError, ValueError):
                continue  # it ended while we looked
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
