"""Trials on a Dask cluster: the model, the images and what other trials have trained travel there, variants and artifacts come back.

A worker that has a file at the same path, or was sent it once, needs it no more. Latency and accuracy are never measured there.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import shutil
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecls.data.digits import are_digits
from edgecls.data.imagenet import are_imagenet
from edgecls.errors import EdgeclsError, MachineError, MissingExtraError, OutputError, StageError, WorkerError
from edgecls.evaluation.cluster import Pool
from edgecls.evaluation.parcel import Parcel
from edgecls.formats import sha256
from edgecls.records.artifact import Manifest
from edgecls.system.extras import require
from edgecls.system.memory import keep_freed_memory
from edgecls.system.private_folder import PrivateFolder, temporary_folder
from edgecls.workflow.compress import names_option
from edgecls.workflow.trial_making import ARTIFACTS, MadeTrial, TrialJob, make_trial

_FILES_OF_MODEL = ("model", "labels", "weights", "custom_objects")


@dataclass(frozen=True)
class Sent:
    """What comes back: the trial, and path below its folder -> content."""

    made: MadeTrial
    files: dict[str, bytes]


class ClusterPlace:
    """Makes trials on the workers of a cluster, one on each at a time.

    Args:
        pool: from `dask_pool`.
        address: of the scheduler, for messages.
    """

    is_elsewhere = True

    def __init__(self, pool: Pool, address: str) -> None:
        self.slots = pool.workers
        self._pool, self._address = pool, address
        self._threads = concurrent.futures.ThreadPoolExecutor(pool.workers)
        self._asked: set[concurrent.futures.Future[Any]] = set()

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Begin to make a trial.

        Raises:
            ValueError: something else than `make_trial`.
        """
        if function is not make_trial:
            raise ValueError(f"trials alone are made on a cluster, not {function}")
        return self._threads.submit(self._make, *args, **kwargs)

    def stop(self) -> None:
        """Cancel what runs."""
        for future in list(self._asked):
            future.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make(self, job: TrialJob) -> MadeTrial:
        parcels = [Parcel.of(path) for path in _paths_of(job)]
        found = self._ask(job, parcels)
        if found is None:
            found = self._ask(job, [parcel.filled() for parcel in parcels])
        if found is None:
            raise WorkerError("a worker that keeps what it was sent", "one that lacks it", "see the worker's own messages")
        for name, content in found.files.items():
            path = job.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return found.made

    def _ask(self, job: TrialJob, parcels: list[Parcel]) -> Sent | None:
        """What a worker made; None where it lacks files.

        Raises:
            MachineError: the scheduler has gone, or a worker's machine refused something.
            WorkerError: the worker died.
            StageError: another exception.
        """
        future = None
        try:
            future = self._pool.executor.submit(make_sent, job, parcels)
            self._asked.add(future)
            return future.result()
        except EdgeclsError:
            raise
        except Exception as error:  # noqa: BLE001 - process border: the library's words for a dead worker, or for one that `make_sent` never reached
            if type(error).__name__ == "KilledWorker":
                raise WorkerError("a worker that lives", "one that died while it made a trial", "give it more memory") from None
            if (
                isinstance(error, concurrent.futures.CancelledError | OSError | RuntimeError)
                or "Cancelled" in type(error).__name__
            ):
                remedy = "start it again, or leave --scheduler out; finished trials are kept"
                raise MachineError("a Dask scheduler that answers", f"{self._address}, which has gone", remedy) from None
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise StageError("a trial that can be made", words, "see the worker's own messages") from None
        finally:
            self._asked.discard(future) if future else None


def make_sent(job: TrialJob, parcels: list[Parcel]) -> Sent | None:
    """Make a trial in a worker of the cluster; None where files have to be sent first.

    Raises:
        MachineError: its system refused something, as it would any other trial: no room, no permission.
        StageError: another exception than those that a trial raises on purpose.
    """
    remedy = "make room and permission there, or leave --scheduler out; finished trials are kept"
    try:
        return _make_here(job, parcels)
    except OutputError as error:
        found = f"on {socket.gethostname()}: {error.found}"
        raise MachineError(error.expected, found, remedy if names_option(error.remedy) else error.remedy) from None
    except OSError as error:
        raise MachineError("workers that can read and write files", f"on {socket.gethostname()}: {error}", remedy) from None
    except EdgeclsError:
        raise
    except Exception as error:  # process border: some of these the executor raises itself, where the scheduler has gone
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        found = f"on {socket.gethostname()}: {words}"
        raise StageError("a trial that can be made", found, "see the worker's own messages") from error


def _make_here(job: TrialJob, parcels: list[Parcel]) -> Sent | None:
    places = {parcel.path: _place_of(parcel) for parcel in parcels}
    known = {path: place for path, place in places.items() if place is not None}
    if len(known) < len(places):
        return None
    folder = _store().path / "trials" / uuid.uuid4().hex
    _settle()
    try:
        made = make_trial(_moved(job, known, folder))
        _write_paths_back(folder, {**{str(place): str(path) for path, place in known.items()}, str(folder): str(job.folder)})
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if _is_result(path, folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if made.manifest is None:
        return Sent(made, files)
    return Sent(replace(made, manifest=Manifest.model_validate_json(files[f"{ARTIFACTS}/manifest.json"])), files)


def _paths_of(job: TrialJob) -> list[Path]:
    """Everything that a trial reads."""
    paths = [getattr(job.model, name) for name in _FILES_OF_MODEL]
    data = [] if are_digits(job.data) else [job.data.parent if job.data.suffix.casefold() == ".csv" else job.data]
    files = [path for path in paths if path is not None and not are_imagenet(path)]
    return [*files, *data, job.choosing, *job.finished]


def _moved(job: TrialJob, places: dict[Path, Path], folder: Path) -> TrialJob:
    """The same job with paths of this machine."""
    given = {name: getattr(job.model, name) for name in _FILES_OF_MODEL}
    files = {name: places.get(path, path) for name, path in given.items()}  # the labels that come with the package travel not
    data = places.get(job.data) or (places[job.data.parent] / job.data.name if job.data.parent in places else job.data)
    return replace(
        job,
        model=replace(job.model, **files),
        data=data,
        folder=folder,
        choosing=places[job.choosing],
        finished=tuple(places[path] for path in job.finished),
    )


@functools.cache
def _settle() -> None:
    """Let TensorFlow train on as many threads as this worker was started with, for several workers of a machine share its cores."""
    keep_freed_memory()
    try:
        threads = require("distributed").get_worker().state.nthreads
    except (MissingExtraError, ValueError):
        return  # the executor is not Dask's
    with contextlib.suppress(RuntimeError):  # something else has computed in this process before, on all cores
        require("tensorflow").config.threading.set_intra_op_parallelism_threads(threads)


@functools.cache
def _store() -> PrivateFolder:
    """What this worker was sent; gone when its process ends."""
    return temporary_folder()


_writing = threading.Lock()  # a worker may run several tasks side by side, each in a thread


def _place_of(parcel: Parcel) -> Path | None:
    """Where a parcel's content lies here; None where it does not."""
    if parcel.path.exists() and sha256(parcel.path) == parcel.sha256:
        return parcel.path
    folder = _store().path / parcel.sha256
    place = folder / parcel.name
    with _writing:
        if not place.exists() and parcel.files is not None:
            parcel.unpack(folder)
    return place if place.exists() else None


def _write_paths_back(folder: Path, places: dict[str, str]) -> None:
    """Records name files where they lie on the machine that asked."""
    for path in folder.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        for here, there in places.items():
            text = text.replace(here, there)
        path.write_text(text, encoding="utf-8")


def _is_result(path: Path, folder: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
