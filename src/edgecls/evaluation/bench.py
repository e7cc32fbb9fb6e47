"""The whole measurement of a run: latency and memory first, then accuracy, then what the rows say about each other."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecls.data import ImageSet, PixelFile, open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import ArtifactError, InputError
from edgecls.evaluation import shares
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.evaluation.answers import Answers, accuracy_of, flips_of
from edgecls.evaluation.classes import with_classes
from edgecls.evaluation.cluster import Pool, examine_on
from edgecls.evaluation.crew import Crew, engines
from edgecls.evaluation.jobs import BenchJob, BenchOptions, Failure, ImageSource, OpenRunner, Profiler, blank_row
from edgecls.evaluation.label_sets import multilabel_accuracy
from edgecls.evaluation.latency import compare_latency, measure_latency
from edgecls.evaluation.reference import SOURCE, Reference, read_reference
from edgecls.evaluation.timed_artifact import Timing
from edgecls.event import Event, OnEvent, ignore
from edgecls.formats import clips_sums, file_sizes
from edgecls.image_spec import ImageSpec
from edgecls.machine import Machine
from edgecls.measurement import DataUsed, Engine, Profile, Report
from edgecls.processor import may_saturate
from edgecls.version import __version__
from edgecls.worker import Worker

_REFERENCE_ORDER = ("tflite", "onnx", "coreml")
STAND_IN, EXACT = "stand-in", "exact"  # what flips against other engines are called after
_OTHERS = {STAND_IN: ("stand_in_flips", "the reference"), EXACT: ("exact_flips", "itself, computed exactly")}
_EMULATED = "the processor is emulated: accuracy and flips are a real one's, times and memory are not"
_NEEDS = {"coreml": "macOS"}  # target -> the system whose engine its latency can be measured with


def bench_artifacts(
    jobs: Sequence[BenchJob],
    images: ImageSource | None,
    options: BenchOptions | None = None,
    on_event: OnEvent = ignore,
    *,
    open_runner: OpenRunner,
    open_stand_in: OpenRunner | None = None,
    open_exact: OpenRunner | None = None,
    profiler: Profiler | None = None,
    pool: Pool | None = None,
    machine: Machine | None = None,
    reference: Path | None = None,
    source_sha256: str | None = None,
) -> Report:
    """Measure artifacts.

    Args:
        jobs: what to measure; names must differ.
        images: what accuracy is measured on; where they turn out to have no labels, only flips are counted.
        options: how to measure.
        on_event: told about progress.
        open_runner: `edgecls.runners.open_runner`, or another function that workers can import by its name.
        open_stand_in: `edgecls.runners.open_stand_in`, or another such function: where an engine that only some systems have does run,
            its answers are compared with those of the reference that stands in for it elsewhere.
        open_exact: `edgecls.runners.open_exact`, or another such function: where the processor clips sums of int8 products, answers are
            compared with those without clipping.
        profiler: `edgecls.runners.profile_artifact`, or another such function; needed where the options ask for profiles.
        pool: where accuracy is measured; by default where latency is.
        machine: where everything is measured; by default here.
        reference: `reference.npz` with the source model's scores; used when flips cannot be counted on `images` (none given, or no float32
            artifact among the jobs). One that is damaged or of another model is left out, and a note says so.
        source_sha256: the source model; scores that are of another one are not compared with.

    Returns:
        One row for each job, in their order. Whatever happens to one artifact is that row's status and reason.

    Raises:
        DataError: images that cannot be used.
        WorkerError: the machine does not answer.
    """
    bench = _Bench(
        jobs, images, options or BenchOptions(), on_event, open_runner, open_stand_in, open_exact, profiler, pool, machine
    )
    return bench.run(reference, source_sha256)


@dataclass(frozen=True)
class _Images:
    """The images one group of artifacts is asked about; `opened` is None for those stored with the artifacts."""

    pixels: PixelFile
    labels: np.ndarray | None
    opened: ImageSet | None = None

    def name(self, index: int) -> str:
        return self.opened.name(index) if self.opened else ""


class _Bench:
    def __init__(
        self,
        jobs: Sequence[BenchJob],
        images: ImageSource | None,
        options: BenchOptions,
        on_event: OnEvent,
        open_runner: OpenRunner,
        open_stand_in: OpenRunner | None,
        open_exact: OpenRunner | None,
        profiler: Profiler | None,
        pool: Pool | None,
        machine: Machine | None,
    ) -> None:
        names = [job.name for job in jobs]
        if not jobs or len(set(names)) < len(names):
            raise InputError("artifacts of different names", ", ".join(names) or "none", "name each file once")
        self._jobs, self._source, self._options, self._on_event, self._open_runner = jobs, images, options, on_event, open_runner
        self._open_stand_in, self._open_exact = open_stand_in, open_exact
        self._profiler, self._pool, self._machine = profiler, pool, machine
        self._rows = {job.name: blank_row(job, options) for job in jobs}
        self._timings: dict[str, Timing] = {}
        self._answers: dict[str, Answers] = {}
        self._images: dict[str, _Images] = {}
        self._sets: dict[tuple[object, ...], ImageSet] = {}
        self._notes: list[str] = []

    def run(self, reference_path: Path | None, source_sha256: str | None) -> Report:
        """All stages in their order."""
        self._check_images()
        reference = self._read_reference(reference_path, source_sha256) if reference_path else None
        with Crew(self._machine) as crew, contextlib.ExitStack() as keep:
            self._site = crew.site
            self._notes += [_EMULATED] if self._site.emulated else []
            workers = self._time(crew)
            workers = self._staff(crew, workers) if self._running() else []
            if self._source is not None:
                self._examine(crew, workers, {job.name: self._images_for(job) for job in self._running()})
                self._mark()
                self._compare_with_other_engines(crew, workers)
            if not self._count_flips() and reference is not None:
                self._compare_with_source(crew, workers, reference, keep)
        self._measure_sizes()
        return self._report()

    def _check_images(self) -> None:
        """Tell of data that is not there before the work starts, not after."""
        spec = next((job.spec for job in self._jobs if job.spec is not None), None)
        if self._source is not None and spec is not None:
            images = open_images(self._source.path, spec, role="data", labels=self._source.labels)
            if self._source.scores:
                require_fitting(images, *self._source.scores)

    def _read_reference(self, path: Path, source_sha256: str | None) -> Reference | None:
        """Read the source's scores ahead: what is wrong with them must not cost the figures measured without them."""
        spec = next((job.spec for job in self._jobs if job.spec is not None and not job.foreign), None)
        if spec is None:
            return None
        try:
            return read_reference(path, spec, source_sha256)
        except ArtifactError as error:
            self._notes.append(f"not compared with the source model: {error}")
            return None

    # latency

    def _time(self, crew: Crew) -> list[Worker]:
        timings, workers = measure_latency(
            self._running(), crew, self._open_runner, self._options, self._on_event, self._profiler
        )
        for name, timing in timings.items():
            if isinstance(timing, Failure):
                self._fail(name, timing)
                continue
            self._timings[name] = timing
            if timing.opened.stand_in:
                needs = _NEEDS.get(self._job(name).target, "its own engine")
                self._update(name, engine=Engine(name=timing.opened.stand_in, note="a stand-in"), latency_needs=needs)
                continue
            self._update(
                name,
                latency=timing.latency,
                load_ms=None if self._site.emulated else timing.opened.load_ms,
                first_inference_ms=None if self._site.emulated else timing.opened.first_inference_ms,
                peak_memory_bytes=None if self._site.emulated else timing.peak_memory_bytes,
                engine=timing.opened.engine,
                threads_latency=timing.threads_latency,
                throughput=timing.throughput,
                sustained=timing.sustained,
                profile=timing.profile if isinstance(timing.profile, Profile) else None,
                profile_note=timing.profile if isinstance(timing.profile, str) else "",
                not_measured=timing.not_measured,
            )
        self._compare_latencies()
        self._note_assumptions()
        return workers

    def _compare_latencies(self) -> None:
        reference = self._reference({job.name for job in self._running()})
        if reference is None or self._site.emulated:
            return
        theirs = self._timings[reference].latency
        for name, timing in self._timings.items():
            if name != reference and timing.latency is not None and theirs is not None:
                self._update(name, latency_ratio=compare_latency(timing.latency, theirs, reference))

    def _note_assumptions(self) -> None:
        for job in self._running():
            if job.spec is None and (note := self._timings[job.name].opened.spec.note):
                self._notes.append(f"{job.name}: {note}")

    # accuracy

    def _staff(self, crew: Crew, workers: list[Worker]) -> list[Worker]:
        """As many workers as cores, none where a pool does their work: those of the latency runs go on, the others are sent home."""
        wanted = 0 if self._pool else self._site.cores if self._machine else self._options.cores
        for worker in workers[wanted:]:
            crew.dismiss(worker)
        kept = workers[:wanted]
        return kept + [self._hire(crew) for _ in range(wanted - len(kept))]

    def _hire(self, crew: Crew) -> Worker:
        return crew.hire([shares.__name__, self._open_runner.__module__, *engines(job.target for job in self._running())])

    def _images_for(self, job: BenchJob) -> _Images | Failure:
        opened = self._timings[job.name].opened
        try:
            found = self._open_set(job, opened.spec, max(opened.outputs, 2))
            require_fitting(found, opened.output_kind, opened.outputs)
            found.decode(lambda done, total: self._on_event(Event("decode", "", done, total)))
        except InputError as error:
            if not job.foreign:
                raise
            return Failure("failed", str(error))
        return _Images(found.pixels, found.labels, found)

    def _open_set(self, job: BenchJob, spec: ImageSpec, classes: int) -> ImageSet:
        assert self._source is not None
        labels = job.labels or self._source.labels
        if labels is None or len(labels) != classes:
            labels = tuple(f"class_{index}" for index in range(classes))
        size = (spec.height, spec.width, spec.channels, labels)
        inputs = (*size, spec.color_order, spec.mean, spec.std)  # arrays of model inputs also depend on the preprocessing
        for key in (size, inputs):
            if key in self._sets:
                return self._sets[key]
        found = open_images(self._source.path, spec, role="data", labels=labels, limit=self._source.limit, seed=self._source.seed)
        self._sets[size if found.dtype == "uint8" else inputs] = found
        return found

    def _examine(self, crew: Crew, workers: list[Worker], images: dict[str, _Images | Failure]) -> None:
        for job in self._running():
            found = images.get(job.name)
            if isinstance(found, Failure):
                self._fail(job.name, found)
            elif found is not None:
                self._images[job.name] = found
        asked = [job for job in self._running() if job.name in images]
        for name, found in self._put(crew, workers, asked, self._open_runner).items():
            if isinstance(found, Failure):
                self._fail(name, found)
            elif found.not_numbers:
                self._fail(
                    name, Failure("failed", f"scores of {found.not_numbers} of {len(found.winners)} images are not numbers")
                )
            else:
                self._answers[name] = found

    def _put(
        self, crew: Crew, workers: list[Worker], jobs: list[BenchJob], open_runner: OpenRunner
    ) -> dict[str, Answers | Failure]:
        """What the artifacts answer to their images."""
        images = {job.name: self._images[job.name] for job in jobs}
        exams = [
            Exam(job.name, job.path, self._timings[job.name].opened.spec, images[job.name].pixels, images[job.name].labels)
            for job in jobs
        ]
        timeout_s = self._options.timeout_s

        def progress(name: str, done: int, total: int) -> None:
            self._on_event(Event("accuracy", name, done, total))

        if self._pool:
            return examine_on(self._pool, exams, open_runner, timeout_s=timeout_s, progress=progress)
        hire = functools.partial(self._hire, crew)
        return examine(exams, workers, open_runner, hire=hire, timeout_s=timeout_s, progress=progress)

    def _compare_with_other_engines(self, crew: Crew, workers: list[Worker]) -> None:
        """Where the engine is one that only some systems have, or one that this processor makes clip sums: how another answers."""
        jobs = [job for job in self._running() if job.name in self._answers]
        engines = [job for job in jobs if job.target in _NEEDS and not self._timings[job.name].opened.stand_in]
        here = self._site.environment
        clipped = jobs if may_saturate(here.machine, here.instruction_sets) else []
        clipped = [job for job in clipped if job.target == "onnx" and clips_sums(job.path)]
        self._compare_with(self._open_stand_in, engines, STAND_IN, crew, workers)
        self._compare_with(self._open_exact, clipped, EXACT, crew, workers)

    def _compare_with(
        self, open_other: OpenRunner | None, jobs: list[BenchJob], called: str, crew: Crew, workers: list[Worker]
    ) -> None:
        field, words = _OTHERS[called]
        for name, found in self._put(crew, workers, jobs, open_other).items() if open_other and jobs else ():
            if isinstance(found, Failure) or found.not_numbers:
                reason = found.reason if isinstance(found, Failure) else "its scores are not numbers"
                self._notes.append(f"{name}: not compared with {words}: {reason}")
            else:
                images = self._images[name]
                self._update(name, **{field: flips_of(self._answers[name], found, called, images.labels, images.name)})

    def _mark(self) -> None:
        reference = self._reference(self._answers.keys())
        for name, answers in self._answers.items():
            accuracy, labels, names = accuracy_of(answers), self._images[name].labels, self._class_names(name)
            theirs = self._answers[reference] if reference and self._comparable(name, reference) else None
            if labels is not None and answers.scores is not None:
                self._update(name, multilabel=multilabel_accuracy(answers.scores, labels, names, theirs and theirs.scores))
            elif accuracy is not None and labels is not None:
                self._update(name, accuracy=with_classes(accuracy, answers, labels, names, theirs))

    def _class_names(self, name: str) -> tuple[str, ...]:
        job, opened = self._job(name), self._images[name].opened
        known = opened.class_names if opened else ()
        return job.labels or (self._source.labels if self._source else None) or known

    # flips

    def _reference(self, among: Collection[str]) -> str | None:
        """The float32 artifact that the others are compared with."""
        candidates = [job for job in self._jobs if job.scheme == "float32" and not job.foreign and job.name in among]
        candidates.sort(key=lambda job: (job.variant != "base", _REFERENCE_ORDER.index(job.target)))
        return candidates[0].name if candidates else None

    def _comparable(self, name: str, reference: str) -> bool:
        """A file from elsewhere may know other classes, or take other images. The reference itself is not compared."""
        same_outputs = self._timings[name].opened.outputs == self._timings[reference].opened.outputs
        same_images = len(self._answers[name].winners) == len(self._answers[reference].winners)
        return name != reference and same_outputs and same_images

    def _count_flips(self) -> bool:
        """Count flips against the float32 artifact; whether there is one."""
        reference = self._reference(self._answers.keys())
        if reference is None:
            return False
        for name, answers in self._answers.items():
            if self._comparable(name, reference):
                images = self._images[name]
                self._update(name, flips=flips_of(answers, self._answers[reference], reference, images.labels, images.name))
        return True

    def _compare_with_source(self, crew: Crew, workers: list[Worker], reference: Reference, keep: contextlib.ExitStack) -> None:
        jobs = [job for job in self._running() if not job.foreign]
        if not jobs:
            return
        pixels = keep.enter_context(reference.write()).finish()
        marked, self._answers = self._answers, {}
        self._examine(crew, workers, {job.name: _Images(pixels, None) for job in jobs if self._fits(job, reference)})
        for name, answers in self._answers.items():
            self._update(name, flips=flips_of(answers, reference.answers(self._timings[name].opened.output_kind), SOURCE))
        self._compare_with_other_engines(crew, workers)
        self._answers = marked
        self._notes.append(
            f"flips are counted against the source model on {len(reference.images)} images stored with the artifacts"
        )

    def _fits(self, job: BenchJob, reference: Reference) -> bool:
        opened = self._timings[job.name].opened
        size = (opened.spec.height, opened.spec.width, opened.spec.channels)
        return reference.images.shape[1:] == size and reference.scores.shape[1] == opened.outputs

    # rows

    def _running(self) -> list[BenchJob]:
        return [job for job in self._jobs if self._rows[job.name].status == "ok"]

    def _job(self, name: str) -> BenchJob:
        return next(job for job in self._jobs if job.name == name)

    def _update(self, name: str, **fields: object) -> None:
        self._rows[name] = self._rows[name].model_copy(update=fields)

    def _fail(self, name: str, failure: Failure) -> None:
        self._update(name, status=failure.status, reason=failure.reason)

    def _measure_sizes(self) -> None:
        for job in self._jobs:
            if job.size_bytes is None or job.compressed_bytes is None:
                with contextlib.suppress(InputError):  # a file that is not there has its own status already
                    size, compressed = file_sizes(job.path)
                    self._update(job.name, size_bytes=size, compressed_bytes=compressed)

    def _report(self) -> Report:
        data = None
        if self._source is not None and self._sets:
            used = next(iter(self._sets.values()))
            data = DataUsed(path=str(self._source.path), images=len(used), labelled=used.labelled, note=used.note)
        return Report(
            created=datetime.datetime.now(datetime.UTC),
            edgecls_version=__version__,
            labels=list(self._source.labels or ()) if self._source else [],
            image_spec=next((job.spec for job in self._jobs if job.spec is not None and not job.foreign), None),
            environment=self._site.environment,
            data=data,
            notes=self._notes,
            measurements=[self._rows[job.name] for job in self._jobs],
        )
