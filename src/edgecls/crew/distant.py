"""DistantWorker: a worker on another machine, for which the files that a call names are brought there first."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from edgecls.data import PixelFile
from edgecls.errors import EdgeclsError, MachineError, RemoteError, WorkerError
from edgecls.formats import sha256
from edgecls.formats.files import members
from edgecls.system import depot
from edgecls.system.machine import Machine
from edgecls.system.worker import Worker, missing, remote_error

P = ParamSpec("P")
R = TypeVar("R")
_CHUNK = 1 << 20
_PATIENCE_S = 300.0  # for one chunk, behind whatever the worker is still importing
_PIXELS = "pixels"
_START_S = 120.0
_PACKAGES = {  # module -> package: what of the light install runs artifacts
    "numpy": "numpy",
    "PIL": "pillow",
    "pydantic": "pydantic",
    "ai_edge_litert": "ai-edge-litert",
    "onnxruntime": "onnxruntime",
    "onnx": "onnx",
}


def require_ready(machine: Machine) -> None:
    """Tell of a machine that cannot measure before the work starts.

    Raises:
        MachineError: it does not answer, or lacks edgecls of this version or a package.
    """
    try:
        with DistantWorker(machine, {}) as worker:
            worker.greet(_START_S)
            lacking = worker.wait(worker.start(missing, list(_PACKAGES)), _START_S)
    except WorkerError as error:
        raise MachineError(error.expected, error.found, error.remedy) from None
    if lacking:
        names = " ".join(_PACKAGES[module] for module in lacking)
        expected = f"what edgecls measures with in the Python of {machine.name}"
        raise MachineError(expected, f"no {names}", f"run `pip install {names}` there, or install edgecls anew")


class DistantWorker(Worker):
    """A worker on another machine.

    A `Path` or `PixelFile` among a call's arguments is one of this machine: before the call, what it names goes there, unless a run has
    taken it there before; the function gets the place where it then lies.

    Args:
        keys: path -> hash of its content, as far as known; the workers of a run share it.
    """

    def __init__(self, machine: Machine, keys: dict[Path, str]) -> None:
        super().__init__(command=machine.command)
        self._keys = keys
        self._places: dict[Path, str] = {}

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Bring the files there, then queue the call. The future also raises why a file could not be brought."""
        try:
            arguments: Any = [self._there(argument) for argument in args]
        except (EdgeclsError, RemoteError) as error:
            return _failed(error)
        except OSError as error:  # of a file here: as a worker here tells of it
            return _failed(remote_error(error))
        return super().start(function, *arguments, **kwargs)

    def _there(self, argument: object) -> object:
        if isinstance(argument, Path):
            return _PathThere(self._bring(argument, argument.name))
        if isinstance(argument, PixelFile):
            return replace(argument, path=self._bring(Path(argument.path), _PIXELS))
        return argument

    def _bring(self, path: Path, name: str) -> str:
        """Where a file or package lies there, once it does."""
        if path not in self._keys:
            self._keys[path] = sha256(path)
        if path not in self._places:
            key = self._keys[path]
            self._places[path] = self._ask(depot.find, key, name) or self._send(path, key, name)
        return self._places[path]

    def _send(self, path: Path, key: str, name: str) -> str:
        partial = self._ask(depot.begin)
        for item in members(path):
            member = name if item == path else f"{name}/{item.relative_to(path).as_posix()}"
            for chunk in _chunks(item):
                self._ask(depot.append, partial, member, chunk)
        return self._ask(depot.finish, partial, key, name)

    def _ask(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self.wait(super().start(function, *args, **kwargs), _PATIENCE_S)


def _failed(error: Exception) -> concurrent.futures.Future[Any]:
    failed: concurrent.futures.Future[Any] = concurrent.futures.Future()
    failed.set_exception(error)
    return failed


class _PathThere:
    """Becomes a path of the machine on which it is read."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Callable[[str], Path], tuple[str]]:
        return depot.to_path, (self._text,)


def _chunks(path: Path) -> Iterator[bytes]:
    """A file in pieces; a single empty one where it is empty."""
    with path.open("rb") as stream:
        yield stream.read(_CHUNK)
        while chunk := stream.read(_CHUNK):
            yield chunk
