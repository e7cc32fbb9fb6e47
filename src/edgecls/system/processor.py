"""How many cores a process may use, and which instruction sets change what int8 files answer, or how fast."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

CPUINFO, CPU_MAX = Path("/proc/cpuinfo"), Path("/sys/fs/cgroup/cpu.max")
_X86 = ("x86_64", "amd64")
# what systems call them: Linux in /proc/cpuinfo, macOS in sysctl
_X86_NAMES = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_vnni": "vnni",
    "avx512vnni": "vnni",
    "avx_vnni": "vnni",
    "amx_int8": "amx",
}
_ARM_NAMES = {
    "asimd": "neon",
    "neon": "neon",
    "advsimd": "neon",
    "asimddp": "dotprod",
    "feat_dotprod": "dotprod",
    "i8mm": "i8mm",
    "feat_i8mm": "i8mm",
    "sve": "sve",
}


_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16", "feat_bf16"}


def usable_cores() -> int:
    """Cores that this process may use: those it may run on, or as many as its container's share of time is worth."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_MAX.read_text(encoding="ascii").split()
        return min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or a quota of `max`
        return cores


def computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself, and so faster than float32 ones."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return bool(_BFLOAT16 & (_told_by_macos() if sys.platform == "darwin" else _told_by_linux()))
    return False


def instruction_sets() -> list[str]:
    """Those of this processor: `avx2`, `avx512`, `vnni`, `amx`; `neon`, `dotprod`, `i8mm`, `sve`. Empty where the system does not tell."""
    told: set[str] = set()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = _told_by_macos() if sys.platform == "darwin" else _told_by_linux()
    names = _X86_NAMES if _is_x86(platform.machine()) else _ARM_NAMES
    return list(dict.fromkeys(name for word, name in names.items() if word in told))


def may_saturate(machine: str, known: Collection[str]) -> bool:
    """Whether ONNX Runtime may clip the sum of two uint8 × int8 products at 16 bits, as x86-64 does without VNNI.

    Args:
        machine: as `platform.machine()` calls it.
        known: its instruction sets; none where they are unknown: it may be one that clips.
    """
    return _is_x86(machine) and "vnni" not in known


def _is_x86(machine: str) -> bool:
    return machine.lower() in _X86


def _told_by_linux() -> set[str]:
    """The words of the first `flags` (x86) or `Features` line (ARM)."""
    wanted = "flags" if _is_x86(platform.machine()) else "Features"  # an emulator may show the other processor's
    with CPUINFO.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, words = line.partition(":")
            if key.strip() == wanted:
                return set(words.lower().split())
    return set()


def _told_by_macos() -> set[str]:
    """The ends of the names of switches that are on, as of `hw.optional.arm.FEAT_I8MM: 1`, and the features of an Intel processor."""
    command = ["/usr/sbin/sysctl", "-i", "hw.optional", "machdep.cpu.leaf7_features"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.lower()
    told: set[str] = set()
    for name, _, value in (line.partition(":") for line in text.splitlines()):
        if name == "machdep.cpu.leaf7_features":
            told |= set(value.split())
        elif value.strip() == "1":
            told.add(name.rpartition(".")[2])
    return told
