"""Accuracy on other executors: the same answers bit by bit, and what becomes of a worker that dies."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.crew import BenchJob, BenchOptions, ImageSource
from edgecls.crew.crew import Crew
from edgecls.crew.jobs import Failure
from edgecls.data import PixelFile, synthetic_pixels
from edgecls.data.pixel_file import PixelWriter
from edgecls.errors import InputError, MissingExtraError
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.evaluation.answers import Answers
from edgecls.evaluation.cluster import Pool, dask_pool, examine_on
from edgecls.records.image_spec import ImageSpec
from edgecls.records.report import Report
from edgecls.runners import open_runner
from edgecls.runners.fake import open_fake, open_fake_stand_in
from edgecls.workflow.measuring import bench_artifacts

SPEC = ImageSpec(height=8, width=8, channels=1)
LABELS = np.arange(1000) % 10


@pytest.fixture(scope="module")
def pixels() -> Iterator[PixelFile]:
    with PixelWriter((8, 8, 1), "uint8", 1000) as writer:
        for image in synthetic_pixels(SPEC, 1000):
            writer.append(image)
        yield writer.finish()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    quiet: Any = {"dashboard_address": None, "worker_dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", **quiet) as found:
        yield found


def exam(folder: Path, pixels: PixelFile, name: str = "a", **fields: Any) -> Exam:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(fields))
    return Exam(name, path, SPEC, pixels, LABELS)


def here(exams: list[Exam], opener: Any = open_fake) -> dict[str, Answers | Failure]:
    with Crew() as crew:
        workers = [crew.hire([]), crew.hire([])]
        return examine(exams, workers, opener, hire=lambda: crew.hire([]), timeout_s=60, progress=lambda *_: None)


def there(
    pool: Pool, exams: list[Exam], opener: Any = open_fake, timeout_s: float = 60, **more: Any
) -> dict[str, Answers | Failure]:
    return examine_on(pool, exams, opener, timeout_s=timeout_s, progress=more.get("progress", lambda *_: None))


def require_same(ours: Answers | Failure, theirs: Answers | Failure) -> None:
    assert isinstance(ours, Answers) and isinstance(theirs, Answers)
    assert ours.ties.keys() == theirs.ties.keys()
    for name in ("winners", "top1", "top5", "confidence"):
        assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes()


@pytest.mark.parametrize("kind", [concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor])
def test_any_executor_answers_as_the_crew_does(kind: Any, tmp_path: Path, pixels: PixelFile) -> None:
    exams = [
        exam(tmp_path, pixels),
        exam(tmp_path, pixels, "b", seed=1),
        exam(tmp_path, pixels, "bad", behaviour="raise-at-predict"),
    ]
    told: list[tuple[str, int, int]] = []
    with kind(2) as executor:
        found = there(Pool(executor, 2), exams, progress=lambda *event: told.append(event))
    expected = here(exams)
    for name in ("a", "b"):
        require_same(found[name], expected[name])
    bad = found["bad"]
    assert isinstance(bad, Failure)
    assert (bad.status, "told to fail at predict" in bad.reason) == ("failed", True)
    assert ("b", 1000, 1000) in told


@pytest.mark.parametrize("same_machine", [True, False])
def test_pixels_travel_only_to_a_worker_that_cannot_read_them(same_machine: bool, tmp_path: Path, pixels: PixelFile) -> None:
    travelled: list[bool] = []

    class Worker(concurrent.futures.Executor):
        def submit(self, function: Any, opener: Any, parcel: Any, spec: Any, images: Any, labels: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            travelled.append(images.pixels is not None)
            if not same_machine:  # there, another file may lie under that name
                images = dataclasses.replace(images, mark=(images.mark[0] + 1, *images.mark[1:]))
            future: Any = concurrent.futures.Future()
            future.set_result(function(opener, parcel, spec, images, labels))
            return future

    exams = [exam(tmp_path, pixels)]
    require_same(there(Pool(Worker(), 1), exams)["a"], here(exams)["a"])
    assert any(travelled) is not same_machine
    assert travelled[0] is False  # nobody had asked for them yet


def test_a_share_that_never_comes_back_is_a_timeout(tmp_path: Path, pixels: PixelFile) -> None:
    class Deaf(concurrent.futures.Executor):
        def submit(self, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return concurrent.futures.Future()

    found = there(Pool(Deaf(), 1), [exam(tmp_path, pixels)], timeout_s=0.2)["a"]
    assert found == Failure("timeout", "no answer within 0.2 s")


def test_a_broken_pool_is_a_crash(tmp_path: Path, pixels: PixelFile) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as executor:
        found = there(Pool(executor, 1), [exam(tmp_path, pixels, behaviour="kill-at-predict")])["a"]
    assert isinstance(found, Failure)
    assert found.status == "crashed"


def test_a_real_model_on_a_cluster_bit_by_bit(cluster: Any, foreign_tflite: dict[str, Path]) -> None:
    spec = open_runner(foreign_tflite["int8"]).spec
    with PixelWriter((32, 32, 3), "uint8", 200) as writer:
        for image in synthetic_pixels(spec, 200):
            writer.append(image)
        found_pixels = writer.finish()
        exams = [Exam(name, foreign_tflite[name], spec, found_pixels, LABELS[:200]) for name in ("float32", "int8")]
        expected = here(exams, open_runner)
        with dask_pool(cluster.scheduler_address) as pool:
            assert pool.slots == 2
            found = there(pool, exams, open_runner)
    for name in ("float32", "int8"):
        require_same(found[name], expected[name])


def test_a_worker_tells_two_engines_of_one_file_apart(cluster: Any, tmp_path: Path, pixels: PixelFile) -> None:
    one = exam(tmp_path, pixels)
    with dask_pool(cluster.scheduler_address) as pool:
        found = [there(pool, [one], opener)["a"] for opener in (open_fake, open_fake_stand_in)]
    for answers, opener in zip(found, (open_fake, open_fake_stand_in), strict=True):
        require_same(answers, here([one], opener)["a"])


def test_a_worker_killed_in_the_middle_changes_nothing(cluster: Any, tmp_path: Path, pixels: PixelFile) -> None:
    exams = [exam(tmp_path, pixels, delay_ms=2.0)]
    killed: list[int] = []

    def kill_one(_: str, done: int, total: int) -> None:
        if not killed and 0 < done < total:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    with dask_pool(cluster.scheduler_address) as pool:
        found = there(pool, exams, progress=kill_one)
    assert killed
    require_same(found["a"], here(exams)["a"])


def test_a_bench_whose_accuracy_is_measured_elsewhere(cluster: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=synthetic_pixels(SPEC, 100), y=LABELS[:100])
    source = ImageSource(tmp_path / "data.npz", tuple(f"class_{index}" for index in range(10)))
    (tmp_path / "a.json").write_text("{}")
    job = BenchJob("a", tmp_path / "a.json", "tflite", "float32", spec=SPEC)
    options = BenchOptions(min_seconds=0.0, min_runs=10, warmup_seconds=0.0, cores=1)
    with dask_pool(cluster.scheduler_address) as pool:
        report = bench_artifacts([job], source, options, open_runner=open_fake, pool=pool)
    alone = bench_artifacts([job], source, options, open_runner=open_fake)
    assert report.measurements[0].accuracy is not None
    assert report.measurements[0].accuracy == alone.measurements[0].accuracy
    assert report.measurements[0].latency is not None


def test_the_command_line_on_a_cluster(cluster: Any, foreign_tflite: dict[str, Path], tmp_path: Path) -> None:
    """`edgecls bench --scheduler` as a user types it: the same accuracy as without, and nobody there is said in a line."""
    np.savez(tmp_path / "data.npz", x=synthetic_pixels(open_runner(foreign_tflite["int8"]).spec, 100), y=LABELS[:100])
    files = [str(foreign_tflite[name]) for name in ("float32", "int8")]

    def bench(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["bench", *files, "--data", str(tmp_path / "data.npz"), "--min-seconds", "0.05", "-o", str(tmp_path / name)]
        return subprocess.run(
            [sys.executable, "-m", "edgecls.cli", *command, *options], capture_output=True, text=True, timeout=120, check=False
        )

    done = bench("there.json", "--scheduler", cluster.scheduler_address), bench("here.json")
    assert [run.returncode for run in done] == [0, 0], done[0].stderr
    there, here = (Report.read(tmp_path / name).measurements for name in ("there.json", "here.json"))
    assert [row.accuracy for row in there] == [row.accuracy for row in here]
    assert all(row.accuracy is not None and row.latency is not None for row in there)
    missed = bench("missed.json", "--scheduler", "tcp://127.0.0.1:1")
    assert missed.returncode == 2
    assert "a Dask scheduler, found tcp://127.0.0.1:1" in " ".join(missed.stderr.split())
    assert "Traceback" not in missed.stderr


def test_nobody_there() -> None:
    with pytest.raises(InputError, match=r"a Dask scheduler, found tcp://127\.0\.0\.1:1"), dask_pool("tcp://127.0.0.1:1"):
        pass


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgecls\[cluster\]'"), dask_pool("tcp://127.0.0.1:1"):
        pass
