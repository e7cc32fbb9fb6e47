"""Worker: a Python process of our own that runs one function at a time.

Conversion uses workers to use both cores, evaluation to keep native crashes and peak memory apart. A worker is started with
`python -m edgecls.system.worker`, not by `multiprocessing`, so that it never imports the caller's main module and the package can be used
from any script or notebook. The Python may be one of another machine: a command such as `ssh pi python3` starts it.

A worker greets with a line of its version; what a remote shell printed before is passed over. Then requests and replies are pickles on
stdin and stdout, each behind the number of its call and its length, so that one that cannot be read costs its own call alone. What
native libraries print goes to stderr, which is kept in a temporary file and quoted when the process dies.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import importlib.util
import itertools
import os
import pickle
import queue
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, ParamSpec, TypeVar

from edgecls.errors import EdgeclsError, RemoteError, WorkerError, reason_of
from edgecls.system.extras import take_as_own, without_unused
from edgecls.system.memory import few_collections
from edgecls.version import __version__

P = ParamSpec("P")
R = TypeVar("R")
THIS_PYTHON = (sys.executable,)
_FRAME = struct.Struct("<QQ")  # number of the call, length of what follows
_GREETING, _GREETING_NUMBER = b"edgecls worker ", 0
_LONGEST_LINE, _MOST_LINES = 1 << 16, 1000  # of what may come before the greeting
_FEW_LINES = 4
_GRACE_S = 10.0  # for a process to end once its stdout has
_BUSY_S = 2.0  # likewise once we have no more for it


class Worker:
    """One worker process. Functions must be importable by name; arguments and results must pickle.

    Args:
        environment: variables set in the worker beside the caller's own; those of a command on this machine, not of where it leads.
        command: the words that start Python, here or on another machine.
        inherited: open files, as descriptors, that the process gets under the same numbers; not on Windows.

    Raises:
        WorkerError: there is no such command.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = THIS_PYTHON,
        inherited: Sequence[int] = (),
    ) -> None:
        self._command = tuple(command)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process dies
        try:
            self._process = subprocess.Popen(
                [*self._command, "-m", "edgecls.system.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={**os.environ, **(environment or {})},
                pass_fds=inherited,
            )
        except (OSError, ValueError) as error:
            raise WorkerError("a command that starts Python", f"{self._words}: {reason_of(error)}", "correct it") from None
        self._numbers = itertools.count(_GREETING_NUMBER + 1)
        self._greeted: concurrent.futures.Future[None] = _running_future()
        self._pending: dict[int, concurrent.futures.Future[Any]] = {_GREETING_NUMBER: self._greeted}
        self._said = ""  # the last line before the greeting
        self._version = ""  # of the edgecls that greeted
        self._dead = False
        self._lock = threading.Lock()
        threading.Thread(target=self._collect, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process identifier."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is there no more."""
        return self._dead or self._process.poll() is not None

    @property
    def is_busy(self) -> bool:
        """Whether it has calls that are not answered."""
        with self._lock:
            return bool(self._pending)

    def greet(self, timeout_s: float) -> None:
        """Wait until the process has started; when it has not after `timeout_s`, kill it.

        Raises:
            WorkerError: it did not start, has no edgecls, or another version of it.
        """
        try:
            self._greeted.result(timeout_s)
        except concurrent.futures.TimeoutError:
            self.kill()
            expected = f"Python started by `{self._words}` within {timeout_s:g} s"
            raise WorkerError(expected, "no sign of it", f"see what `{self._words} --version` answers") from None

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Queue a call. The future raises what the function raised, why its arguments or result did not pickle, or WorkerError when
        the process dies."""
        future: concurrent.futures.Future[R] = _running_future()
        try:
            body = _dump((function.__module__, function.__qualname__, args, kwargs))
        except Exception as error:  # pickling runs code of the arguments' own
            future.set_exception(error)
            return future
        with self._lock:
            if self._dead:
                future.set_exception(self._death())
                return future
            number = next(self._numbers)
            self._pending[number] = future
            assert self._process.stdin is not None
            with contextlib.suppress(OSError, ValueError):  # broken or closed: the collector reports the death
                _send(self._process.stdin, number, body)
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
        """End the process at once. What a command started on another machine ends when its stdin does."""
        self._process.kill()
        self._process.wait()
        self._hang_up()
        self._bury()

    def close(self) -> None:
        """Let the process end and wait for it; kills it when it is still busy after two seconds."""
        self._hang_up()
        try:
            self._process.wait(timeout=_BUSY_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill() if error is not None else self.close()

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _collect(self) -> None:
        """Hand out the replies until there are no more; whatever ends them, no call is left waiting."""
        assert self._process.stdout is not None
        try:
            self._meet(self._process.stdout)
            while True:
                number, body = _receive(self._process.stdout)
                _settle(self._take(number), body)
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):  # the process is about to end too, and its status says why
                self._process.wait(_GRACE_S)
        except Exception:  # it speaks, but makes no sense
            pass
        finally:
            self._process.kill()
            self._process.wait()
            self._bury()

    def _meet(self, stdout: IO[bytes]) -> None:
        """Read on to the greeting.

        Raises:
            EOFError: there is none.
            ValueError: it is another version's, or what is said has no end.
        """
        for _ in range(_MOST_LINES):
            line = stdout.readline(_LONGEST_LINE)
            if not line:
                raise EOFError
            if line.startswith(_GREETING):
                self._version = line.removeprefix(_GREETING).decode(errors="replace").strip()
                break
            self._said = line.decode(errors="replace").strip() or self._said
        if self._version != __version__:
            raise ValueError(self._version)
        self._take(_GREETING_NUMBER).set_result(None)

    def _take(self, number: int) -> concurrent.futures.Future[Any]:
        with self._lock:
            return self._pending.pop(number)

    def _bury(self) -> None:
        with self._lock:
            self._dead = True
            waiting = list(self._pending.values())
            self._pending.clear()
        for future in waiting:
            future.set_exception(self._death())

    def _death(self) -> WorkerError:
        code = self._process.returncode
        cause = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        if not self._version and len(lines) <= _FEW_LINES:  # a shell or ssh says in one or two what is wrong
            lines = [" ".join(lines)]
        last = (lines[-1] if lines else "")[:200] or self._said[:200]
        ending = f"it ended with {cause}{': ' * bool(last)}{last}"
        if self._version == __version__:
            return WorkerError("a worker process that answers", ending, "the other jobs are not affected")
        ours = f"edgecls {__version__}"
        if self._version or "No module named" in last:
            found = f"edgecls {self._version}" if self._version else last
            return WorkerError(f"{ours} where `{self._words}` starts Python", found, f"install {ours} there")
        return WorkerError(
            f"Python with {ours} started by `{self._words}`", ending, f"see what `{self._words} --version` answers"
        )

    @property
    def _words(self) -> str:
        return shlex.join(self._command)


def preload(modules: Sequence[str]) -> None:
    """Import modules ahead of the first job: start this in a fresh worker while the caller is still busy."""
    with few_collections(), without_unused():
        for module in modules:
            importlib.import_module(module)


def missing(modules: Sequence[str]) -> list[str]:
    """Those of the modules that are not installed; none is imported for that."""
    return [module for module in modules if importlib.util.find_spec(module) is None]


def _running_future() -> concurrent.futures.Future[Any]:
    """A future that nobody can cancel: setting its result never fails."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    return future


def _settle(future: concurrent.futures.Future[Any], body: bytes) -> None:
    try:
        succeeded, result = pickle.loads(body)
    except Exception as error:  # unpickling runs code of the result's own
        succeeded, result = False, error
    future.set_result(result) if succeeded else future.set_exception(result)


def _dump(message: Any) -> bytes:
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def _send(stream: IO[bytes], number: int, body: bytes) -> None:
    stream.write(_FRAME.pack(number, len(body)))
    stream.write(body)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[int, bytes]:
    """A call's number and what belongs to it.

    Raises:
        EOFError: the stream ended before or in the middle.
    """
    head = stream.read(_FRAME.size)
    if len(head) < _FRAME.size:
        raise EOFError
    number, length = _FRAME.unpack(head)
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return number, body


def _resolve(module: str, qualname: str) -> Callable[..., Any]:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _reply(body: bytes) -> bytes:
    """Run a call; its result, or what it raised. Every failure of a job must reach the caller."""
    try:
        module, qualname, args, kwargs = pickle.loads(body)
        return _dump((True, _resolve(module, qualname)(*args, **kwargs)))
    except EdgeclsError as error:
        return _dump((False, error))
    except Exception as error:
        return _dump((False, remote_error(error)))


def remote_error(error: Exception) -> RemoteError:
    """What a call that raised this, while it is handled, comes to for the caller."""
    refused = isinstance(error, OSError) and error.errno and (error.errno, str(error.strerror), _name(error.filename))
    return RemoteError(type(error).__name__, str(error), traceback.format_exc(), refused or None)


def _name(filename: object) -> str | None:
    return None if filename is None else os.fsdecode(filename) if isinstance(filename, bytes) else str(filename)


def _main() -> None:
    take_as_own()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides; it closes our stdin
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    replies.write(b"\n%s%s\n" % (_GREETING, __version__.encode()))
    replies.flush()
    requests: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def read_requests() -> None:
        while True:
            try:
                requests.put(_receive(sys.stdin.buffer))
            except (EOFError, OSError):
                os._exit(0)  # the caller is gone or done with us: stop in the middle of whatever runs

    threading.Thread(target=read_requests, daemon=True).start()
    while True:
        number, body = requests.get()
        _send(replies, number, _reply(body))


if __name__ == "__main__":
    sys.modules["edgecls.system.worker"] = sys.modules["__main__"]  # callers ask for functions of this file by that name
    _main()
