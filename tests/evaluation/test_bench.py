"""The whole bench with fake artifacts: what happens to one stays its own affair."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.crew import BenchJob, BenchOptions, ImageSource
from edgecls.crew.crew import Crew, engines
from edgecls.crew.jobs import Failure
from edgecls.data import open_images, synthetic_pixels
from edgecls.data.pixel_file import PixelWriter
from edgecls.errors import DataError, InputError
from edgecls.evaluation import fit_preprocess, image_spec_of
from edgecls.evaluation.accuracy import Exam, examine, shares
from edgecls.evaluation.answers import Answers, judge_scores
from edgecls.records.event import Event
from edgecls.records.image_spec import ImageSpec
from edgecls.records.measurement import Measurement
from edgecls.records.report import Report
from edgecls.reporting import report_grid
from edgecls.runners.fake import FakeRunner, open_fake, open_fake_stand_in, profile_fake
from edgecls.system.worker import Worker, preload
from edgecls.timing.latency import compare_latency
from edgecls.workflow.measuring import bench_artifacts

SPEC = ImageSpec(height=8, width=8, channels=1)
QUICK = BenchOptions(min_seconds=0.02, min_runs=10, warmup_seconds=0.0, warmup_runs=2, cores=2, timeout_s=60)


def fake(
    folder: Path, name: str, *, target: str = "tflite", scheme: str = "float32", foreign: bool = False, **fields: Any
) -> BenchJob:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(fields))
    return BenchJob(name, path, target, scheme, spec=SPEC, foreign=foreign)


@pytest.fixture
def archive(tmp_path: Path) -> ImageSource:
    """300 images, labelled as the fake of seed 0 answers."""
    pixels = synthetic_pixels(SPEC, 300)
    labels = FakeRunner(SPEC).predict(pixels).argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=pixels, y=labels)
    return ImageSource(tmp_path / "data.npz", tuple(f"class_{index}" for index in range(10)))


def bench(jobs: list[BenchJob], images: ImageSource | None, options: BenchOptions = QUICK, **arguments: Any) -> Report:
    return bench_artifacts(jobs, images, options, open_runner=open_fake, **arguments)


def rows(report: Report) -> dict[str, Measurement]:
    return {row.artifact: row for row in report.measurements}


def test_every_figure(tmp_path: Path, archive: ImageSource):
    jobs = [
        fake(tmp_path, "other", scheme="int8", seed=1),
        fake(tmp_path, "float", delay_ms=1.0),
        fake(tmp_path, "same", target="onnx", scheme="float32"),
    ]
    events: list[Event] = []
    report = bench(jobs, archive, on_event=events.append)
    found = rows(report)
    assert [row.artifact for row in report.measurements] == ["other", "float", "same"]
    assert all(row.status == "ok" and row.reason == "" for row in report.measurements)
    for row in report.measurements:
        assert row.latency is not None
        assert row.latency.runs == len(row.latency.samples_ms) >= 10
        assert sum(row.latency.samples_ms) < 1000 * 1
        assert row.latency.warmup_runs >= 2
        assert row.load_ms is not None and row.load_ms > 0
        assert row.first_inference_ms is not None
        assert row.peak_memory_bytes is not None
        assert row.size_bytes == (tmp_path / f"{row.artifact}.json").stat().st_size
        assert row.compressed_bytes > 0
    slow = found["float"].latency
    assert slow is not None
    assert slow.p50_ms >= 1.0  # the fake sleeps for one millisecond at least
    assert found["float"].accuracy is not None
    assert (found["float"].accuracy.images, found["float"].accuracy.top1) == (300, 1.0)
    assert found["float"].flips is None  # it is the reference itself
    same, other = found["same"].flips, found["other"].flips
    assert same is not None and other is not None
    assert (same.reference, same.images, same.count) == ("float", 300, 0)
    # another random classifier of ten classes: its hits are as many as its agreements
    assert found["other"].accuracy is not None
    assert other.count == 300 - round(300 * found["other"].accuracy.top1) > 150
    assert report.data is not None and report.data.labelled
    assert {event.stage for event in events} == {"load", "latency", "decode", "accuracy"}
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_an_engine_is_compared_with_its_reference_where_both_run(tmp_path: Path, archive: ImageSource):
    """As on macOS: Core ML measures, and the reference that computes packages elsewhere answers beside it."""
    jobs = [
        fake(tmp_path, "float"),
        fake(tmp_path, "package", target="coreml", scheme="float16"),
        fake(tmp_path, "elsewhere", target="coreml", scheme="int8", stand_in="the reference"),
    ]
    found = rows(bench(jobs, archive, open_stand_in=open_fake_stand_in))
    compared = found["package"].stand_in_flips
    assert compared is not None
    pixels = synthetic_pixels(SPEC, 300)
    differ = FakeRunner(SPEC).predict(pixels).argmax(axis=1) != FakeRunner(SPEC, seed=1).predict(pixels).argmax(axis=1)
    assert (compared.reference, compared.images, compared.count) == ("stand-in", 300, differ.sum())
    assert found["package"].accuracy is not None
    assert found["package"].accuracy.top1 == 1.0  # its own answers count, not the reference's
    assert found["float"].stand_in_flips is None
    assert found["elsewhere"].stand_in_flips is None  # the reference is all there is


def test_a_reference_that_fails_costs_no_figures(tmp_path: Path, archive: ImageSource):
    jobs = [fake(tmp_path, "package", target="coreml", behaviour="unsupported-stand-in")]
    report = bench(jobs, archive, open_stand_in=open_fake_stand_in)
    assert report.measurements[0].status == "ok"
    assert report.measurements[0].accuracy is not None
    assert [note for note in report.notes if note.startswith("package: not compared with the reference")]


def test_what_each_figure_is_worth(tmp_path: Path, archive: ImageSource):
    jobs = [fake(tmp_path, "float", delay_ms=1.0), fake(tmp_path, "other", scheme="int8", seed=1, delay_ms=3.0)]
    report = bench(jobs, archive)
    found = rows(report)
    assert report.labels == [f"class_{index}" for index in range(10)]
    accuracy, flips, latency = found["other"].accuracy, found["other"].flips, found["other"].latency
    assert accuracy is not None and flips is not None and latency is not None
    assert accuracy.top1_interval is not None
    assert accuracy.top1_interval.low < accuracy.top1 < accuracy.top1_interval.high
    assert sum(row.support for row in accuracy.classes) == 300
    assert all(row.recall_delta is not None and row.recall_delta <= 0 for row in accuracy.classes)  # the reference has all right
    assert accuracy.confusion is not None
    assert sum(count for label, winner, count in accuracy.confusion.entries if label == winner) == round(300 * accuracy.top1)
    assert (flips.lost, flips.gained) == (300 - round(300 * accuracy.top1), 0)
    assert flips.mcnemar_p is not None and flips.mcnemar_p < 1e-40  # all of more than 150 discordant pairs on one side
    assert len(flips.images_listed) == flips.count
    assert latency.p50_interval is not None and latency.histogram is not None
    assert len(latency.rounds_p50_ms) == 5
    assert latency.validity is not None and latency.validity.reasons[0].code == "too_few_runs"
    reference = found["float"].latency
    assert reference is not None
    assert found["other"].latency_ratio == compare_latency(latency, reference, "float")
    assert found["float"].latency_ratio is None
    engine = found["float"].engine
    assert engine is not None
    assert (engine.name, engine.verified) == ("fake", True)


def test_flips_are_named_by_their_files(tmp_path: Path):
    from PIL import Image

    pixels = synthetic_pixels(SPEC, 40)
    names = tuple("abcdefghij")
    for index, (image, label) in enumerate(zip(pixels, FakeRunner(SPEC).predict(pixels).argmax(axis=1), strict=True)):
        folder = tmp_path / "photos" / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{index:02}.png")
    jobs = [fake(tmp_path, "float"), fake(tmp_path, "other", scheme="int8", seed=1)]
    flips = rows(bench(jobs, ImageSource(tmp_path / "photos", names)))["other"].flips
    assert flips is not None
    assert flips.images_listed
    for flip in flips.images_listed:
        assert flip.label is not None
        assert flip.image.startswith(f"{names[flip.label]}/")  # the folder is the label


def test_threads_batches_and_a_sustained_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edgecls.timing.latency._MINUTE_S", 0.4)
    options = replace(QUICK, threads=(1, 2, 4), batches=(1, 8), sustained_minutes=2.5)
    jobs = [fake(tmp_path, "one", delay_ms=2.0), fake(tmp_path, "many", delay_ms=2.0, most_images=8)]
    events: list[Event] = []
    found = rows(bench(jobs, None, options, on_event=events.append))
    for row in found.values():
        assert row.threads == 1
        assert [entry.threads for entry in row.threads_latency] == [2, 4]
        assert all(entry.latency.p50_ms >= 2.0 for entry in row.threads_latency)
        assert row.sustained is not None
        assert [minute.minute for minute in row.sustained.minutes] == [1, 2, 3]
        assert all(minute.p50_ms >= 2.0 for minute in row.sustained.minutes)
        assert row.sustained.minutes[2].runs <= 101  # half a minute of 0.4 s, in which calls of 2 ms begin
    # a call sleeps for 2 ms: at most 500 images a second one by one, 4,000 by eights
    assert [entry.engine_batch for entry in found["one"].throughput] == [1, 1]
    assert [entry.engine_batch for entry in found["many"].throughput] == [1, 8]
    assert all(entry.images_per_second <= 500 for entry in found["one"].throughput)
    by_ones, by_eights = (entry.images_per_second for entry in found["many"].throughput)
    assert by_ones <= 500 and by_ones < by_eights <= 4000
    assert {event.subject for event in events if event.stage == "latency"} > {"one", "one, 2 threads", "many, 4 threads"}


@pytest.mark.parametrize(
    ("behaviour", "what", "why"),
    [
        ("raise-at-threads", "2 threads", "failed: RuntimeError: the fake was told to fail at threads"),
        ("kill-at-threads", "2 threads", "crashed: its process ended with signal SIGKILL"),
        ("raise-at-batch", "batches of 8", "failed: RuntimeError: the fake was told to fail at batch"),
        ("kill-at-batch", "batches of 8", "crashed: its process ended with signal SIGKILL"),
    ],
)
def test_a_further_figure_that_fails_leaves_everything_else(
    tmp_path: Path, archive: ImageSource, behaviour: str, what: str, why: str
):
    options = replace(QUICK, threads=(1, 2), batches=(1, 8))
    report = bench([fake(tmp_path, "a", behaviour=behaviour), fake(tmp_path, "b")], archive, options)
    found = rows(report)
    hurt, sound = found["a"], found["b"]
    assert (hurt.status, hurt.not_measured) == ("ok", {what: why})
    assert hurt.latency is not None and hurt.accuracy is not None and hurt.accuracy.top1 == 1.0
    assert [entry.threads for entry in hurt.threads_latency] == ([] if what == "2 threads" else [2])
    assert [entry.batch for entry in hurt.throughput] == ([1] if what == "batches of 8" else [1, 8])
    assert [entry.threads for entry in sound.threads_latency] == [2]
    assert sound.not_measured == {}
    assert f"a without {what}: {why}" in report_grid(report).notes


@pytest.mark.parametrize(
    ("behaviour", "note"), [("ok", ""), ("raise-at-profile", "told to fail at profile"), ("kill-at-profile", "SIGKILL")]
)
def test_a_profile_that_fails_leaves_everything_else(tmp_path: Path, archive: ImageSource, behaviour: str, note: str):
    options = replace(QUICK, profile=True)
    found = rows(bench([fake(tmp_path, "a", behaviour=behaviour)], archive, options, profiler=profile_fake))["a"]
    assert found.status == "ok"
    assert found.accuracy is not None
    assert found.accuracy.top1 == 1.0
    assert (found.profile is None) == bool(note)
    assert note in found.profile_note
    if found.profile is not None:
        assert found.profile.words == ["8 x 8, 1 threads"]


def test_one_measures_at_a_time_and_they_take_turns(tmp_path: Path):
    events: list[Event] = []
    bench([fake(tmp_path, name) for name in "abc"], None, on_event=events.append)
    order = "".join(event.subject for event in events if event.stage == "latency")
    assert order == "abc" + "bca" + "cab" + "abc" + "bca"


@pytest.mark.parametrize(
    ("what", "status", "reason", "moment"),
    [
        ("kill", "crashed", "SIGKILL", "load"),
        ("kill", "crashed", "SIGKILL", "invoke"),
        ("kill", "crashed", "SIGKILL", "predict"),
        ("raise", "failed", "told to fail", "load"),
        ("raise", "failed", "told to fail", "predict"),
        ("hang", "timeout", "no answer within 4 s", "invoke"),
        ("hang", "timeout", "no answer within 4 s", "predict"),
    ],
)
def test_a_bad_artifact_is_one_row(tmp_path: Path, archive: ImageSource, moment: str, what: str, status: str, reason: str):
    jobs = [
        fake(tmp_path, "bad", behaviour=f"{what}-at-{moment}"),
        fake(tmp_path, "good"),
        fake(tmp_path, "better", scheme="int8"),
    ]
    options = BenchOptions(min_seconds=0.0, min_runs=5, warmup_seconds=0.0, cores=2, timeout_s=4)
    found = rows(bench(jobs, archive, options))
    assert found["bad"].status == status
    assert reason in found["bad"].reason
    assert found["bad"].accuracy is None
    for name in ("good", "better"):
        assert found[name].status == "ok"
        assert found[name].accuracy is not None
        assert found[name].latency is not None
    assert found["better"].flips is not None


def test_a_worker_killed_from_outside_in_the_middle(tmp_path: Path, archive: ImageSource):
    """As the kernel does when memory runs out: the process of `slow` dies while it takes its turns."""
    jobs = [fake(tmp_path, "slow", delay_ms=20), fake(tmp_path, "good", target="onnx")]
    before = set(_children())
    killed = threading.Event()

    def kill_first(event: Event) -> None:
        if event.stage == "load" and event.subject == "slow" and not killed.is_set():
            (child,) = set(_children()) - before
            threading.Timer(0.3, os.kill, (child, signal.SIGKILL)).start()
            killed.set()

    options = BenchOptions(min_seconds=3.0, min_runs=5, warmup_seconds=0.0, cores=2, timeout_s=60)
    found = rows(bench(jobs, archive, options, on_event=kill_first))
    assert (found["slow"].status, "SIGKILL" in found["slow"].reason) == ("crashed", True)
    assert found["good"].status == "ok"
    assert found["good"].accuracy is not None


def test_no_process_is_left_behind(tmp_path: Path, archive: ImageSource):
    before = set(_children())

    def interrupt(event: Event) -> None:
        if event.stage == "accuracy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench([fake(tmp_path, "a"), fake(tmp_path, "b")], archive, on_event=interrupt)
    bench([fake(tmp_path, "a")], archive)
    for _ in range(50):
        if set(_children()) <= before:
            break
        time.sleep(0.1)
    assert set(_children()) <= before


def test_unsupported_not_numbers_missing_and_coreml(tmp_path: Path, archive: ImageSource):
    jobs = [
        fake(tmp_path, "unsupported", behaviour="unsupported"),
        fake(tmp_path, "nan", behaviour="nan"),
        BenchJob("missing", tmp_path / "none.json", "tflite", spec=SPEC),
        fake(tmp_path, "apple", target="coreml", scheme="float16", stand_in="a stand-in"),
        fake(tmp_path, "good"),
    ]
    found = rows(bench(jobs, archive))
    assert (found["unsupported"].status, "FAKE_OP" in found["unsupported"].reason) == ("unsupported", True)
    assert (found["nan"].status, found["nan"].reason) == ("failed", "scores of 300 of 300 images are not numbers")
    assert found["missing"].status == "failed"
    assert found["good"].status == "ok"
    apple = found["apple"]
    assert (apple.status, apple.engine and apple.engine.name, apple.latency_needs) == ("ok", "a stand-in", "macOS")
    assert (apple.latency, apple.load_ms, apple.first_inference_ms, apple.peak_memory_bytes) == (None, None, None, None)
    assert apple.accuracy is not None and found["good"].accuracy is not None
    assert apple.accuracy.top1 == found["good"].accuracy.top1
    assert apple.size_bytes > 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc; on macOS each package is timed in its own")
def test_stand_ins_are_opened_in_one_process_and_outlive_each_other(tmp_path: Path, archive: ImageSource):
    """Their times count for nothing, so that each process more would only cost its start; one that crashes takes no other along."""
    stand_in: dict[str, Any] = {"target": "coreml", "stand_in": "a stand-in"}
    jobs = [fake(tmp_path, "timed"), *(fake(tmp_path, name, **stand_in) for name in ("a", "b"))]
    jobs += [fake(tmp_path, "killed", behaviour="kill-at-load", **stand_in), fake(tmp_path, "c", **stand_in)]
    before, processes = set(_children()), {}

    def count(event: Event) -> None:
        if event.stage == "load":
            processes[event.subject] = len(set(_children()) - before)

    found = rows(bench(jobs, archive, on_event=count))
    assert processes["a"] == processes["b"] == processes["timed"] + 1
    assert processes["c"] == processes["b"]
    assert found["killed"].status == "crashed"
    for name in ("timed", "a", "b", "c"):
        row = found[name]
        assert (row.status, row.accuracy and row.accuracy.top1) == ("ok", 1.0)
        assert (row.latency is None) == (name != "timed")


def test_answers_do_not_depend_on_how_the_images_are_shared(tmp_path: Path, archive: ImageSource):
    images = open_images(archive.path, SPEC, role="data", labels=archive.labels)
    job = fake(tmp_path, "a")
    pixels = images.pixels.read(0, 300)
    alone = judge_scores(FakeRunner(SPEC).predict(pixels), images.labels, "softmax")
    for count in (1, 2, 3):
        with Crew() as crew:
            workers = [crew.hire([]) for _ in range(count)]
            exam = Exam("a", job.path, SPEC, images.pixels, images.labels)
            found = examine([exam], workers, open_fake, hire=lambda: crew.hire([]), timeout_s=60, progress=lambda *_: None)["a"]
        assert isinstance(found, Answers)
        assert np.array_equal(found.winners, alone.winners)
        assert np.array_equal(found.top1, alone.top1)  # pyright: ignore[reportArgumentType]


def test_a_share_that_hangs_does_not_hold_up_the_others(tmp_path: Path, archive: ImageSource):
    images = open_images(archive.path, SPEC, role="data")
    jobs = [fake(tmp_path, "hangs", behaviour="hang-at-predict"), fake(tmp_path, "good")]
    with Crew() as crew:
        exams = [Exam(job.name, job.path, SPEC, images.pixels, None) for job in jobs]
        modules = ["edgecls.evaluation.shares", "edgecls.runners.fake"]  # importing them is not the artifact's time
        workers = [crew.hire(modules), crew.hire(modules)]
        found = examine(exams, workers, open_fake, hire=lambda: crew.hire(modules), timeout_s=4, progress=lambda *_: None)
    assert found["hangs"] == Failure("timeout", "no answer within 4 s")
    assert isinstance(found["good"], Answers)


@pytest.mark.parametrize("count", [1, 7, 8, 300, 5000])
@pytest.mark.parametrize("size", [8, 224])
def test_shares_cover_all_images_once_and_begin_where_batches_begin(count: int, size: int):
    with PixelWriter((1, 1, 1), "uint8", 0) as writer:
        empty = writer.finish()
    pixels = type(empty)(empty.path, (size, size, 3), "uint8", count)
    found = list(shares(pixels, 2))
    assert [start for start, _ in found] == np.cumsum([0, *(amount for _, amount in found)])[:-1].tolist()
    assert sum(amount for _, amount in found) == count
    assert all(start % 8 == 0 for start, _ in found)
    assert max(amount for _, amount in found) * size * size * 3 <= max(16 << 20, 8 * size * size * 3)


def test_files_with_other_classes_are_not_compared(tmp_path: Path, archive: ImageSource):
    found = rows(bench([fake(tmp_path, "a"), fake(tmp_path, "other", foreign=True, outputs=12)], archive))
    assert found["other"].status == "ok"
    assert found["other"].flips is None


def test_unlabelled_images_count_flips_alone(tmp_path: Path, archive: ImageSource):
    with np.load(archive.path) as data:
        np.savez(tmp_path / "bare.npz", x=data["x"])
    found = rows(
        bench([fake(tmp_path, "a"), fake(tmp_path, "b", scheme="int8")], ImageSource(tmp_path / "bare.npz", archive.labels))
    )
    assert found["a"].accuracy is found["b"].accuracy is None
    assert found["b"].flips is not None
    assert found["b"].flips.count == 0


class TestReference:
    @pytest.fixture
    def reference(self, tmp_path: Path) -> Path:
        images = synthetic_pixels(SPEC, 40, seed=5)
        np.savez(tmp_path / "reference.npz", images=images, scores=FakeRunner(SPEC).predict(images))
        return tmp_path / "reference.npz"

    def test_flips_against_the_source_where_there_is_no_data(self, tmp_path: Path, reference: Path):
        jobs = [fake(tmp_path, "a"), fake(tmp_path, "b", scheme="int8", seed=1), fake(tmp_path, "c", foreign=True)]
        report = bench(jobs, None, reference=reference)
        found = rows(report)
        ours, others = found["a"].flips, found["b"].flips
        assert ours is not None and others is not None
        assert (ours.reference, ours.images, ours.count) == ("source", 40, 0)
        assert others.count > 20
        assert found["c"].flips is None
        assert found["a"].accuracy is None
        assert report.data is None
        assert any("40 images stored" in note for note in report.notes)

    def test_a_seed_stands_for_the_images(self, tmp_path: Path):
        scores = FakeRunner(SPEC).predict(synthetic_pixels(SPEC, 40, seed=5))
        np.savez(tmp_path / "reference.npz", seed=5, scores=scores)
        flips = rows(bench([fake(tmp_path, "a")], None, reference=tmp_path / "reference.npz"))["a"].flips
        assert flips is not None
        assert flips.count == 0

    def test_accuracy_stays_when_only_flips_come_from_the_source(self, tmp_path: Path, archive: ImageSource, reference: Path):
        row = rows(bench([fake(tmp_path, "b", scheme="int8")], archive, reference=reference))["b"]
        assert row.accuracy is not None
        assert row.accuracy.top1 == 1.0
        assert row.flips is not None
        assert row.flips.reference == "source"

    def test_damaged_is_a_note(self, tmp_path: Path):
        (tmp_path / "reference.npz").write_bytes(b"junk")
        report = bench([fake(tmp_path, "a")], None, reference=tmp_path / "reference.npz")
        assert report.measurements[0].latency is not None
        assert any(note.startswith("not compared with the source model: ") for note in report.notes)

    def test_scores_of_another_model_are_not_compared(self, tmp_path: Path, reference: Path):
        with np.load(reference) as stored:
            np.savez(tmp_path / "signed.npz", source_sha256=np.array("abc"), **stored)
        same = bench([fake(tmp_path, "a")], None, reference=tmp_path / "signed.npz", source_sha256="abc")
        assert same.measurements[0].flips is not None
        other = bench([fake(tmp_path, "a")], None, reference=tmp_path / "signed.npz", source_sha256="def")
        assert (other.measurements[0].status, other.measurements[0].flips) == ("ok", None)
        assert any("which is of another" in note for note in other.notes)
        unsigned = bench([fake(tmp_path, "a")], None, reference=reference, source_sha256="abc")
        assert unsigned.measurements[0].flips is not None


def test_a_job_with_a_failure_is_not_measured(tmp_path: Path, archive: ImageSource):
    (tmp_path / "broken.json").write_text("{}")
    broken = BenchJob("broken", tmp_path / "broken.json", "tflite", spec=SPEC, failure=Failure("failed", "changed"))
    found = rows(bench([broken, fake(tmp_path, "good")], archive))
    assert (found["broken"].status, found["broken"].reason, found["broken"].latency) == ("failed", "changed", None)
    assert found["good"].accuracy is not None
    assert bench([broken], archive).measurements[0].reason == "changed"


def test_the_time_a_worker_takes_to_import_is_not_the_artifacts(tmp_path: Path, archive: ImageSource):
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(3)\n")
    images = open_images(archive.path, SPEC, role="data")
    exams = [Exam(job.name, job.path, SPEC, images.pixels, None) for job in [fake(tmp_path, "a")]]
    environment = {"PYTHONPATH": str(tmp_path)}
    with Worker(environment) as slow, Crew() as crew:
        slow.start(preload, ["edgecls.evaluation.shares", "edgecls.runners.fake", "slow_to_import"])
        found = examine(exams, [slow], open_fake, hire=lambda: crew.hire([]), timeout_s=1.5, progress=lambda *_: None)
    assert isinstance(found["a"], Answers)


def test_no_worker_that_starts_ends_the_exam(tmp_path: Path, archive: ImageSource):
    images = open_images(archive.path, SPEC, role="data")
    exams = [Exam(job.name, job.path, SPEC, images.pixels, None) for job in [fake(tmp_path, "a")]]
    with Crew() as crew:
        dead = crew.hire([])
        dead.kill()
        found = examine(exams, [dead], open_fake, hire=lambda: crew.hire([]), timeout_s=5, progress=lambda *_: None)
    assert found["a"] == Failure("crashed", "no process to run it could be started")


class TestImageSpecOf:
    def test_told_by_the_runner(self, tmp_path: Path):
        job = fake(tmp_path, "a")
        assert image_spec_of(job.path, "tflite", open_runner=open_fake, timeout_s=60) == SPEC

    @pytest.mark.parametrize(("behaviour", "status"), [("kill-at-load", "crashed"), ("raise-at-load", "failed")])
    def test_a_bad_file_is_a_failure(self, tmp_path: Path, behaviour: str, status: str):
        job = fake(tmp_path, "a", behaviour=behaviour)
        found = image_spec_of(job.path, "tflite", open_runner=open_fake, timeout_s=60)
        assert isinstance(found, Failure)
        assert found.status == status


def test_workers_for_core_ml_load_no_framework_ahead():
    assert set(engines(["coreml"])) <= {
        "onnxruntime",
        "edgecls.runners.coreml_reference",
    }  # coremltools by itself would bring TensorFlow


def test_bad_data_is_told_before_any_work(tmp_path: Path):
    events: list[Event] = []
    with pytest.raises(DataError):
        bench([fake(tmp_path, "a")], ImageSource(tmp_path / "none"), on_event=events.append)
    assert events == []


def test_names_must_differ(tmp_path: Path):
    with pytest.raises(InputError):
        bench([fake(tmp_path, "a"), fake(tmp_path, "a")], None)
    with pytest.raises(InputError):
        bench([], None)


class TestFit:
    def test_labels_are_needed(self, tmp_path: Path, archive: ImageSource):
        with np.load(archive.path) as data:
            np.savez(tmp_path / "bare.npz", x=data["x"])
        with pytest.raises(DataError, match="labelled"):
            fit_preprocess(tmp_path / "a.json", open_images(tmp_path / "bare.npz", SPEC, role="data"), open_runner=open_fake)

    def test_inside_the_model_there_is_nothing_to_choose(self, archive: ImageSource):
        inside = SPEC.model_copy(update={"provenance": "in-model"})
        with pytest.raises(InputError, match="inside"):
            fit_preprocess(archive.path, open_images(archive.path, inside, role="data"), open_runner=open_fake)


def _children() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(entry.name))
    return found
