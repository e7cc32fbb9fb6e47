"""Memory of a process: its peak, what it gives back, and how long the garbage collector walks what is in it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 64 * 2**20
_LARGEST_KEPT_BYTES = 32 * 2**20  # the most that glibc takes


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far, in bytes.

    On Linux the kernel's VmHWM: unlike `ru_maxrss` it starts anew with the program, so a child does not show its parent's peak.
    """
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Keep the garbage collector from walking the frameworks' many objects while they are made: a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        with new_objects_alone():
            yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def new_objects_alone() -> Iterator[None]:
    """Keep the garbage collector from walking what was there before: a framework's million objects, each time anew."""
    if gc.get_freeze_count():  # those of an outer one stay aside until that ends
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def release_memory() -> None:
    """Give memory that is free but kept back to the system.

    The frameworks leave reference cycles around whole models, and glibc keeps what was freed in small pieces: together several hundred
    MB after one conversion, while another process needs them.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is allocated next, as it does unless something told it otherwise.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_ of 64 KiB. Every array of a training step is then fetched from the system and given
    back again: eight million page faults in two epochs of a small network, which took 1.7 times as long.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
            library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
