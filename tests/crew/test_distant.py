"""Measuring on another machine: here another command that starts Python, with a cache folder of its own."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.crew import BenchJob, BenchOptions, ImageSource, distant, require_ready
from edgecls.crew.distant import DistantWorker, _PathThere
from edgecls.data import synthetic_pixels
from edgecls.errors import MachineError, RemoteError
from edgecls.formats import sha256
from edgecls.records.event import Event
from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.runners.fake import FakeRunner, open_fake
from edgecls.system.machine import Machine
from edgecls.workflow.measuring import bench_artifacts

SPEC = ImageSpec(height=8, width=8, channels=1)
QUICK = BenchOptions(min_seconds=0.02, min_runs=10, warmup_seconds=0.0, warmup_runs=2, cores=2, timeout_s=60)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "there"


@pytest.fixture
def machine(cache: Path) -> Machine:
    return Machine("there", ("env", f"XDG_CACHE_HOME={cache}", sys.executable))


@pytest.fixture
def archive(tmp_path: Path) -> ImageSource:
    pixels = synthetic_pixels(SPEC, 100)
    labels = FakeRunner(SPEC).predict(pixels).argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=pixels, y=labels)
    return ImageSource(tmp_path / "data.npz", tuple(f"class_{index}" for index in range(10)))


def fake(folder: Path, name: str, **fields: Any) -> BenchJob:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(fields))
    return BenchJob(name, path, "tflite", "float32", spec=SPEC)


def bench(jobs: list[BenchJob], images: ImageSource | None, machine: Machine | None, **arguments: Any) -> Report:
    return bench_artifacts(jobs, images, QUICK, open_runner=open_fake, machine=machine, **arguments)


def rows(report: Report) -> dict[str, Measurement]:
    return {row.artifact: row for row in report.measurements}


def test_the_same_answers_as_here_and_each_file_goes_over_once(
    tmp_path: Path, cache: Path, machine: Machine, archive: ImageSource
):
    jobs = [fake(tmp_path, "a"), fake(tmp_path, "b", seed=1), fake(tmp_path, "crashes", behaviour="kill-at-predict")]
    here, there = bench(jobs, archive, None), bench(jobs, archive, machine)
    for name in ("a", "b"):
        ours, theirs = rows(here)[name], rows(there)[name]
        assert (theirs.status, theirs.accuracy, theirs.flips) == ("ok", ours.accuracy, ours.flips)
        assert theirs.latency is not None and theirs.path == str(tmp_path / f"{name}.json")
    assert rows(there)["crashes"].status == "crashed"
    assert (there.environment.device, here.environment.device) == ("there", "")
    stored = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert sorted(path.name for path in stored) == ["a.json", "b.json", "crashes.json", "pixels"]
    bench(jobs[:1], archive, machine)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()} == stored


def test_an_emulated_machine_tells_answers_but_no_times(tmp_path: Path, machine: Machine, archive: ImageSource):
    report = bench([fake(tmp_path, "a"), fake(tmp_path, "b", seed=1)], archive, replace(machine, emulated=True))
    for row in report.measurements:
        assert row.accuracy is not None
        assert row.latency is not None and row.latency.validity is not None
        assert [reason.code for reason in row.latency.validity.reasons] == ["emulated"]
        assert (row.latency_ratio, row.load_ms, row.first_inference_ms, row.peak_memory_bytes) == (None, None, None, None)
    assert any("emulated" in note for note in report.notes)


def test_a_lost_connection_is_a_row_and_the_others_go_on(tmp_path: Path, cache: Path, archive: ImageSource):
    wire = tmp_path / "wire.sh"  # the first worker that has loaded `lost` takes its connection with it
    wire.write_text(f'#!/bin/sh\necho $$ >> {tmp_path}/pids\nXDG_CACHE_HOME={cache} exec "{sys.executable}" "$@"\n')
    machine = Machine("far", ("sh", str(wire)))

    def cut(event: Event) -> None:
        if event.stage == "load" and event.subject == "lost":
            os.kill(int((tmp_path / "pids").read_text().split()[1]), signal.SIGKILL)  # the first one was asked what it is

    report = bench([fake(tmp_path, "lost"), fake(tmp_path, "b", seed=1)], archive, machine, on_event=cut)
    lost, other = report.measurements
    assert (lost.status, lost.accuracy) == ("crashed", None)
    assert "SIGKILL" in lost.reason
    assert other.status == "ok" and other.accuracy is not None


def test_each_process_may_have_a_file_system_of_its_own(tmp_path: Path, archive: ImageSource):
    (tmp_path / "disks").mkdir()
    container = f'XDG_CACHE_HOME=$(mktemp -d -p "{tmp_path / "disks"}") exec "$@"'
    machine = Machine("containers", ("sh", "-c", container, "sh", sys.executable))
    (row,) = bench([fake(tmp_path, "a")], archive, machine).measurements
    assert row.status == "ok" and row.accuracy is not None and row.accuracy.top1 == 1.0


def test_no_path_travels_as_an_object_of_this_python():
    """Python 3.13 calls the class of paths otherwise than 3.12 does, and Windows has another one."""
    sent = pickle.dumps(_PathThere("/there/a.onnx"))
    assert b"pathlib" not in sent
    assert pickle.loads(sent) == Path("/there/a.onnx")


def test_a_full_disk_there_is_the_rows_reason(tmp_path: Path, archive: ImageSource):
    (tmp_path / "file").write_text("no folder")
    machine = Machine("full", ("env", f"XDG_CACHE_HOME={tmp_path / 'file'}", sys.executable))
    (row,) = bench([fake(tmp_path, "a")], archive, machine).measurements
    assert (row.status, "Not a directory" in row.reason) == ("failed", True)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["env", "-u", "PYTHONPATH", sys.executable, "-S"], "No module named"),
        (["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"], "Permission denied"),
        (["env", "PYTHONSAFEPATH=1", sys.executable, "-S"], "no numpy pillow pydantic ai-edge-litert onnxruntime onnx; run"),
    ],
)
def test_what_cannot_measure_is_told_before_the_work(command: list[str], said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2] / "src"))
    with pytest.raises(MachineError) as caught:
        require_ready(Machine("there", tuple(command)))
    assert said in str(caught.value)


def test_a_ready_machine(machine: Machine, cache: Path):
    require_ready(machine)
    assert not cache.exists()


def test_the_end_of_the_caller_is_the_workers_end(tmp_path: Path, machine: Machine):
    """Even one that was killed, in the middle of a job."""
    script = (
        "import sys, time\n"
        "from edgecls.crew.distant import DistantWorker\n"
        "from edgecls.system.machine import Machine\n"
        "import os\n"
        "worker = DistantWorker(Machine('there', tuple(sys.argv[1:])), {})\n"
        "print(worker.call(os.getpid), flush=True)\n"
        "worker.call(time.sleep, 3600)\n"
    )
    command = ["sh", "-c", '"$@"; true', "sh", *machine.command]  # a shell in between, as sshd's
    caller = subprocess.Popen([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    worker = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_file_that_cannot_be_read_here_is_told_as_a_worker_here_tells_of_it(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    """It was an exception that ends the whole run; a row is what it is."""

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(distant, "sha256", refuse)
    with DistantWorker(machine, {}) as worker:
        error = worker.start(sha256, tmp_path / "closed.onnx").exception(timeout=60)
    assert isinstance(error, RemoteError)
    assert error.os_error == (errno.EACCES, "Permission denied", str(tmp_path / "closed.onnx"))
