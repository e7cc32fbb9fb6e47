"""Trials elsewhere: what travels, what comes back, and what becomes of a scheduler that goes away. No trial is really made."""

from __future__ import annotations

import concurrent.futures
import errno
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecls.errors import DataError, MachineError, OutputError, StageError, WorkerError
from edgecls.evaluation.cluster import Pool
from edgecls.evaluation.parcel import Parcel
from edgecls.formats import sha256
from edgecls.records.trial import Candidate
from edgecls.workflow.opening import ModelOptions
from edgecls.workflow.trial_cluster import ClusterPlace, _moved, _paths_of, make_sent
from edgecls.workflow.trial_making import MadeTrial, TrialJob, make_trial, prepare


def job(folder: Path, **options: Any) -> TrialJob:
    for name in ("model.h5", "choosing.npz"):
        (folder / name).write_bytes(name.encode())
    (folder / "images" / "cat").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "cat" / "1.png").write_bytes(b"a cat")
    known = {"candidate": Candidate(), "targets": ("tflite",), "calibration_images": 8, "folder": folder / "trial"}
    return TrialJob(ModelOptions(folder / "model.h5"), folder / "images", choosing=folder / "choosing.npz", **(known | options))


def parcels(made: TrialJob, *, filled: bool) -> list[Parcel]:
    """Everything a job reads, as if it lay on another machine."""
    found = []
    for path in (made.model.model, made.data, made.choosing):
        files = sorted(item for item in path.rglob("*") if item.is_file()) or [path]
        content = {item.relative_to(path).as_posix() if item != path else "": item.read_bytes() for item in files}
        found.append(Parcel(path.name, f"/elsewhere/{path.name}", sha256(path), content if filled else None))
    return found


def read_all(made: TrialJob) -> MadeTrial:
    """In place of a trial: writes what it was given, and where."""
    (made.folder / "variants").mkdir(parents=True)
    read = {path.name: path.read_text() for path in (made.model.model, made.choosing, made.data / "cat" / "1.png")}
    (made.folder / "variants" / "record.json").write_text(json.dumps({**read, "data": str(made.data)}))
    (made.folder / ".checkpoint.npz").write_text("unfinished")
    return MadeTrial(None, reason="given up")


def test_what_a_worker_lacks_travels_once_and_records_name_the_files_of_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecls.workflow.trial_cluster.make_trial", read_all)
    asked = job(tmp_path)
    there = TrialJob(
        ModelOptions(Path("/elsewhere/model.h5")), Path("/elsewhere/images"), choosing=Path("/elsewhere/choosing.npz"),
        candidate=asked.candidate, targets=("tflite",), calibration_images=8, folder=Path("/elsewhere/trial"),
    )  # fmt: skip
    assert make_sent(there, parcels(asked, filled=False)) is None
    for filled in (True, False):  # it keeps what it was sent
        sent = make_sent(there, parcels(asked, filled=filled))
        assert sent is not None and sent.made.reason == "given up"
        assert list(sent.files) == ["variants/record.json"]
        record = json.loads(sent.files["variants/record.json"])
        assert record == {"model.h5": "model.h5", "choosing.npz": "choosing.npz", "1.png": "a cat", "data": "/elsewhere/images"}


def test_labels_of_the_package_do_not_travel(tmp_path: Path) -> None:
    asked = job(tmp_path)
    named = replace(asked, model=replace(asked.model, labels=Path("imagenet")))
    assert _paths_of(named) == _paths_of(asked)
    assert _moved(named, {path: path for path in _paths_of(asked)}, tmp_path / "there").model.labels == Path("imagenet")


def test_what_comes_back_lies_in_the_folder_of_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecls.workflow.trial_cluster.make_trial", read_all)
    asked = job(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        place = ClusterPlace(Pool(executor, 4, 2), "tcp://here")
        assert place.slots == 2  # one on each worker, however many threads it has
        assert place.submit(read_all, asked).result(30).reason == "given up"
        assert json.loads((tmp_path / "trial" / "variants" / "record.json").read_text())["1.png"] == "a cat"
        with pytest.raises(ValueError, match="trials alone"):
            place.submit(prepare)
        place.stop()


NO_ROOM = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
LEFT = "make room and permission there, or leave --scheduler out; finished trials are kept"


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (NO_ROOM, MachineError, f"on pi: {NO_ROOM}; {LEFT}"),
        (OutputError("room", "/tmp/x: full", "with -o"), MachineError, f"expected room, found on pi: /tmp/x: full; {LEFT}"),
        (OutputError("room", "/tmp/x: a link", "remove it"), MachineError, "found on pi: /tmp/x: a link; remove it"),
        (RuntimeError("oops"), StageError, "found on pi: RuntimeError: oops; see the worker's own messages"),
        (DataError("images", "none", "give some"), DataError, "expected images, found none; give some"),
    ],
)
def test_what_a_worker_meets_is_told_with_its_machine_and_is_no_lost_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: type, words: str
) -> None:
    def refused(made: TrialJob) -> MadeTrial:
        raise raised

    monkeypatch.setattr("edgecls.workflow.trial_cluster.make_trial", refused)
    monkeypatch.setattr("socket.gethostname", lambda: "pi")
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        place = ClusterPlace(Pool(executor, 1), "tcp://here")
        with pytest.raises(kind, match=re.escape(words)) as caught:
            place.submit(refused, job(tmp_path)).result(30)
        place.stop()
    assert type(caught.value) is kind  # a WorkerError says that nothing is known of the candidate


class KilledWorker(Exception):  # noqa: N818
    """As Dask calls it."""


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (DataError("images", "none", "give some"), DataError, "expected images"),
        (KilledWorker("task"), WorkerError, "one that died while it made a trial"),
        (
            concurrent.futures.CancelledError(),
            MachineError,
            "tcp://gone, which has gone; start it again, or leave --scheduler out",
        ),
        (OSError("closed"), MachineError, "finished trials are kept"),
        (KeyError("oops"), StageError, "KeyError: 'oops'"),
    ],
)
def test_what_goes_wrong_there(tmp_path: Path, raised: BaseException, kind: type, words: str) -> None:
    class Broken:
        def submit(self, *_: Any) -> concurrent.futures.Future:
            future: concurrent.futures.Future = concurrent.futures.Future()
            future.set_exception(raised)
            return future

    place = ClusterPlace(Pool(Broken(), 1), "tcp://gone")  # type: ignore[arg-type]
    with pytest.raises(kind, match=words.replace("(", r"\(")) as caught:
        place.submit(make_trial, job(tmp_path)).result(30)
    place.stop()
    assert type(caught.value) is kind
