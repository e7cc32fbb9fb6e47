"""What the machine did while an artifact was timed: read from Linux's /proc and /sys; elsewhere little is known."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecls.records.latency import Conditions

PROC, CPUS = Path("/proc"), Path("/sys/devices/system/cpu")
_IDLE = (3, 4)  # idle and iowait in the first line of /proc/stat
_COUNTED = 8  # user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user


@dataclass(frozen=True)
class Counters:
    """Counters since the machine or the process started, or between two moments. None where unknown.

    Attributes:
        busy_s, total_s: processor time of all processes, and of all cores.
        own_s: processor time of this process.
        frequency_mhz: at the end, of the fastest core, which is the one that works.
    """

    busy_s: float | None
    total_s: float | None
    own_s: float
    major_faults: float | None
    swapped_pages: float | None
    frequency_mhz: float | None

    def since(self, before: Counters) -> Counters:
        """What happened since an earlier moment."""
        return Counters(
            _difference(before.busy_s, self.busy_s),
            _difference(before.total_s, self.total_s),
            self.own_s - before.own_s,
            _difference(before.major_faults, self.major_faults),
            _difference(before.swapped_pages, self.swapped_pages),
            self.frequency_mhz,
        )


def read_counters(proc: Path = PROC, cpus: Path = CPUS) -> Counters:
    """The counters now."""
    busy, total = _processor_seconds(proc)
    return Counters(busy, total, time.process_time(), _own_major_faults(), _swapped_pages(proc), _frequency_mhz(proc, cpus))


def load_average() -> float | None:
    """Of the last minute."""
    with contextlib.suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None


def conditions_of(turns: Sequence[Counters], load: float | None) -> Conditions:
    """All turns of one artifact together."""
    frequencies = [turn.frequency_mhz for turn in turns if turn.frequency_mhz is not None]
    busy, total = _sum([turn.busy_s for turn in turns]), _sum([turn.total_s for turn in turns])
    own = sum(turn.own_s for turn in turns)
    faults, swapped = _sum([turn.major_faults for turn in turns]), _sum([turn.swapped_pages for turn in turns])
    return Conditions(
        others_cpu_share=min(1.0, max(0.0, busy - own) / total) if busy is not None and total else None,
        load_average=load,
        frequency_min_mhz=min(frequencies, default=None),
        frequency_max_mhz=max(frequencies, default=None),
        major_faults=None if faults is None else int(faults),
        swapped_pages=None if swapped is None else int(swapped),
    )


def _processor_seconds(proc: Path) -> tuple[float | None, float | None]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        first = (proc / "stat").read_text(encoding="ascii", errors="replace").partition("\n")[0].split()
        ticks = [int(value) for value in first[1 : 1 + _COUNTED]]
        hertz = os.sysconf("SC_CLK_TCK")
        return sum(value for place, value in enumerate(ticks) if place not in _IDLE) / hertz, sum(ticks) / hertz
    return None, None


def _own_major_faults() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _swapped_pages(proc: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        lines = (proc / "vmstat").read_text(encoding="ascii", errors="replace").splitlines()
        found = [int(line.split()[1]) for line in lines if line.startswith(("pswpin ", "pswpout "))]
        return sum(found) if found else None
    return None


def _frequency_mhz(proc: Path, cpus: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        found = [int(path.read_text(encoding="ascii")) / 1000 for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
        if not found:
            lines = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return max(found, default=None)
    return None


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
