"""Worker: a Python process of our own that runs one function at a time.

Conversion uses workers to use both cores, evaluation to keep native crashes and peak memory apart. A worker is started with
`python -m edgecls.worker`, not by `multiprocessing`, so that it never imports the caller's main module and the package can be used
from any script or notebook. Requests and replies are pickles on stdin and stdout; what native libraries print goes to stderr, which is
kept in a temporary file and quoted when the process dies.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, ParamSpec, TypeVar

from edgecls.errors import EdgeclsError, WorkerError

P = ParamSpec("P")
R = TypeVar("R")
_LENGTH = struct.Struct("<Q")


class Worker:
    """One worker process. Functions must be importable by name; arguments and results must pickle.

    Args:
        environment: variables set in the worker beside the caller's own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process dies
        self._pending: queue.SimpleQueue[concurrent.futures.Future[Any]] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgecls.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **(environment or {})},
        )
        self._dead = False
        self._lock = threading.Lock()
        threading.Thread(target=self._collect, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process identifier."""
        return self._process.pid

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Queue a call. The future raises what the function raised, or WorkerError when the process dies."""
        future: concurrent.futures.Future[R] = concurrent.futures.Future()
        with self._lock:
            if self._dead:
                future.set_exception(self._death())
                return future
            self._pending.put(future)
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the collector reports the death
                _send(self._process.stdin, (function.__module__, function.__qualname__, args, kwargs))
        return future

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in the worker and wait for its result."""
        return self.start(function, *args, **kwargs).result()

    def wait(self, future: concurrent.futures.Future[R], timeout_s: float) -> R:
        """Wait for a call started here; when it outlasts `timeout_s`, kill the worker.

        Raises:
            WorkerError: out of time, or the process died.
        """
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            self.kill()
            raise WorkerError(
                f"an answer within {timeout_s:g} s",
                f"worker process {self.pid} still busy",
                "it hangs, or needs more time than that",
            ) from None

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let the process end and wait for it; kills it when it is still busy after two seconds."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill() if error is not None else self.close()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                succeeded, result = _receive(self._process.stdout)
            except (EOFError, OSError, ValueError):
                break
            future = self._pending.get()
            future.set_result(result) if succeeded else future.set_exception(result)
        self._process.wait()
        with self._lock:
            self._dead = True
            while not self._pending.empty():
                self._pending.get().set_exception(self._death())

    def _death(self) -> WorkerError:
        code = self._process.returncode
        cause = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][:200]}" if lines else ""
        return WorkerError("a worker process that answers", f"it ended with {cause}{last}", "the other jobs are not affected")


class RemoteError(Exception):
    """An exception of a worker that is no EdgeclsError, with the worker's traceback as text."""

    def __init__(self, kind: str, message: str, trace: str) -> None:
        self.kind, self.message, self.trace = kind, message, trace
        super().__init__(kind, message, trace)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def preload(modules: Sequence[str]) -> None:
    """Import modules ahead of the first job: start this in a fresh worker while the caller is still busy."""
    with few_collections():
        for module in modules:
            importlib.import_module(module)


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
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def release_memory() -> None:
    """Give memory that is free but kept back to the system.

    The frameworks leave reference cycles around whole models, and glibc keeps what was freed in small pieces: together several hundred
    MB after one conversion, while another process needs them.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _send(stream: IO[bytes], message: Any) -> None:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(stream.read(_LENGTH.unpack(head)[0]))


def _resolve(module: str, qualname: str) -> Callable[..., Any]:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides; it closes our stdin
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read_requests() -> None:
        while True:
            try:
                requests.put(_receive(sys.stdin.buffer))
            except (EOFError, OSError):
                os._exit(0)  # the caller is gone or done with us: stop in the middle of whatever runs

    threading.Thread(target=read_requests, daemon=True).start()
    while True:
        module, qualname, args, kwargs = requests.get()
        try:
            reply = (True, _resolve(module, qualname)(*args, **kwargs))
        except EdgeclsError as error:
            reply = (False, error)
        except Exception as error:  # process border: every failure of a job must reach the caller
            reply = (False, RemoteError(type(error).__name__, str(error), traceback.format_exc()))
        _send(replies, reply)


if __name__ == "__main__":
    sys.modules["edgecls.worker"] = sys.modules["__main__"]  # RemoteError must pickle under its public name
    RemoteError.__module__ = "edgecls.worker"
    _main()
