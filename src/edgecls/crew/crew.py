"""Crew: the worker processes of one run, gone when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from edgecls.crew.distant import DistantWorker
from edgecls.crew.environment import Site, survey
from edgecls.errors import WorkerError
from edgecls.system.machine import Machine
from edgecls.system.spare import take_worker
from edgecls.system.worker import Worker, preload

P = ParamSpec("P")
R = TypeVar("R")
START_TIMEOUT_S = 120.0  # for a worker to import its engine, which is not the artifact's time
_ENGINES = {  # target -> what opens and runs its artifacts: without TensorFlow, which machines that measure need not have
    "tflite": ("ai_edge_litert.interpreter", "edgecls.runners.tflite"),
    "onnx": ("onnxruntime", "edgecls.runners.onnx"),
    "saved_model": ("edgecls.runners.saved_model",),
}
if sys.platform != "darwin":
    _ENGINES["coreml"] = ("onnxruntime", "edgecls.runners.coreml_reference")
    # of the reference; on macOS the runner loads Core ML itself, without TensorFlow


def engines(targets: Iterable[str]) -> list[str]:
    """The modules that run artifacts of these targets: loaded ahead, so that importing is not counted as an artifact's time."""
    return sorted({module for target in targets for module in _ENGINES.get(target, ())})


class Crew:
    """Starts workers and ends them all on exit.

    Args:
        machine: where they run; None for this one.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine
        self._workers: list[Worker] = []
        self._keys: dict[Path, str] = {}

    @functools.cached_property
    def site(self) -> Site:
        """The machine the workers run on, as it tells itself.

        Raises:
            WorkerError: it does not answer.
        """
        if self._machine is None:
            return survey()
        worker = self.hire([])
        site = worker.wait(worker.start(survey), START_TIMEOUT_S)
        self.dismiss(worker)
        environment = site.environment.model_copy(update={"device": self._machine.name})
        return replace(site, environment=environment, emulated=site.emulated or self._machine.emulated)

    def hire(self, modules: Sequence[str]) -> Worker:
        """A new worker that imports `modules` ahead of its first job."""
        worker = self._start()
        self._workers.append(worker)
        worker.start(preload, modules)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """End a worker that is not busy."""
        self._workers.remove(worker)
        worker.close()

    def _start(self) -> Worker:
        if self._machine is None:
            return take_worker()
        worker = DistantWorker(self._machine, self._keys)
        with contextlib.suppress(WorkerError):  # its first job tells
            worker.greet(START_TIMEOUT_S)  # one after another: an ssh server turns away many that come at once
        return worker

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill() if error is not None else worker.close()


def ask(worker: Worker, timeout_s: float, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in a worker; when it outlasts `timeout_s`, kill the worker.

    Raises:
        TimeoutError: out of time.
        WorkerError: the process died.
    """
    future = worker.start(function, *args, **kwargs)
    try:
        return future.result(timeout_s)
    except TimeoutError:
        worker.kill()
        raise
