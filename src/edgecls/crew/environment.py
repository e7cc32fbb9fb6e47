"""Where it was measured."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgecls.records.report import Environment
from edgecls.system.processor import instruction_sets, usable_cores

_PACKAGES = ("edgecls", "numpy", "pillow", "ai-edge-litert", "onnxruntime", "onnx", "coremltools")
_EMULATOR = "qemu-"
NEEDS = {"coreml": "macOS"}  # target -> the only system that has its engine


@dataclass(frozen=True)
class Site:
    """A machine that measures.

    Attributes:
        cores: that a process may use.
        emulated: its processor is a program, whose times tell nothing about a real one.
    """

    environment: Environment
    cores: int
    emulated: bool

    def lacks(self, target: str) -> bool:
        """Whether the engine of a target's artifacts does not exist here."""
        return target in NEEDS and not self.environment.platform.startswith(NEEDS[target])


def survey() -> Site:
    """The machine this process runs on."""
    return Site(environment(), usable_cores(), _is_emulated())


def environment() -> Environment:
    """This machine and the packages that measure."""
    return Environment(
        platform=platform.platform(),
        machine=platform.machine(),
        processor=_processor(),
        instruction_sets=instruction_sets(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0,
        python=platform.python_version(),
        packages=_versions(),
    )


def _is_emulated() -> bool:
    """Whether an emulator runs this process. It answers for /proc/self itself, but not for /proc/thread-self."""
    with contextlib.suppress(OSError):
        return Path("/proc/thread-self/exe").readlink().name.startswith(_EMULATOR)
    return False


def _processor() -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "linux":
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
                names = [line.partition(":")[2].strip() for line in info if line.lower().startswith(("model name", "hardware"))]
            return names[0] if names else platform.processor()
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return platform.processor()


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
