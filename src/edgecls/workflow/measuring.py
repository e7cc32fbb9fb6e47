"""The whole measurement of a run: latency and memory first, then accuracy, then what the rows say about each other."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from pathlib import Path

from edgecls.crew.crew import Crew, engines
from edgecls.crew.desk import Opened
from edgecls.crew.environment import NEEDS
from edgecls.crew.jobs import BenchJob, BenchOptions, Failure, ImageSource, OpenRunner, Profiler
from edgecls.data import open_images
from edgecls.data.multi_hot import require_fitting
from edgecls.errors import ArtifactError
from edgecls.evaluation import shares
from edgecls.evaluation.accuracy import Exam, examine
from edgecls.evaluation.answers import Answers, accuracy_of, flips_of
from edgecls.evaluation.classes import with_classes
from edgecls.evaluation.cluster import Pool, examine_on
from edgecls.evaluation.job_images import JobImages, OpenedSource
from edgecls.evaluation.label_sets import multilabel_accuracy
from edgecls.evaluation.reference import SOURCE, Reference, read_reference
from edgecls.evaluation.rows import Rows
from edgecls.formats import clips_sums
from edgecls.records.counted import counted
from edgecls.records.engine import Engine
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.note import note_on
from edgecls.records.profile import Profile
from edgecls.records.report import Report
from edgecls.system.machine import Machine
from edgecls.system.processor import may_saturate
from edgecls.system.worker import Worker
from edgecls.timing.latency import compare_latency, measure_latency
from edgecls.timing.timed_artifact import Timing
from edgecls.version import __version__

STAND_IN, EXACT = "stand-in", "exact"  # what flips against other engines are called after
_OTHERS = {STAND_IN: ("stand_in_flips", "the reference"), EXACT: ("exact_flips", "itself, computed exactly")}
_EMULATED = "the processor is emulated: accuracy and flips are a real one's, times and memory are not"


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


class _Examiners:
    """The workers that ask artifacts about images; none where a pool elsewhere does."""

    def __init__(self, crew: Crew, wanted: int, workers: list[Worker], modules: Sequence[str]) -> None:
        """Keep as many of the workers as wanted, or hire more; the others are sent home."""
        self._crew, self._modules = crew, modules
        for worker in workers[wanted:]:
            crew.dismiss(worker)
        self.workers = workers[:wanted]
        self.workers += [self.hire() for _ in range(wanted - len(self.workers))]

    def hire(self) -> Worker:
        """One more."""
        return self._crew.hire(self._modules)


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
        self._rows, self._source, self._options = Rows(jobs, options), images, options
        self._on_event, self._open_runner = on_event, open_runner
        self._open_stand_in, self._open_exact = open_stand_in, open_exact
        self._profiler, self._pool, self._machine = profiler, pool, machine
        self._opened_source = OpenedSource(images, on_event) if images else None
        self._timings: dict[str, Timing] = {}
        self._answers: dict[str, Answers] = {}
        self._images: dict[str, JobImages] = {}
        self._notes: list[str] = []

    def run(self, reference_path: Path | None, source_sha256: str | None) -> Report:
        """All stages in their order."""
        self._check_images()
        reference = self._read_reference(reference_path, source_sha256) if reference_path else None
        with Crew(self._machine) as crew, contextlib.ExitStack() as keep:
            self._site = crew.site
            self._notes += [_EMULATED] if self._site.emulated else []
            workers = self._time(crew)
            self._examiners = self._staff(crew, workers if self._rows.running else [])
            if self._opened_source is not None:
                images = {job.name: self._opened_source.images_for(job, self._opened(job.name)) for job in self._rows.running}
                self._examine(images)
                self._mark()
                self._compare_with_other_engines()
            if not self._count_flips() and reference is not None:
                self._compare_with_source(reference, keep)
        self._rows.measure_sizes()
        return self._report()

    def _check_images(self) -> None:
        """Tell of data that is not there before the work starts, not after."""
        spec = next((job.spec for job in self._rows.jobs if job.spec is not None), None)
        if self._source is not None and spec is not None:
            images = open_images(self._source.path, spec, role="data", labels=self._source.labels)
            if self._source.scores:
                require_fitting(images, *self._source.scores)

    def _read_reference(self, path: Path, source_sha256: str | None) -> Reference | None:
        """Read the source's scores ahead: what is wrong with them must not cost the figures measured without them."""
        spec = next((job.spec for job in self._rows.jobs if job.spec is not None and not job.foreign), None)
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
            self._rows.running, crew, self._open_runner, self._options, self._on_event, self._profiler
        )
        for name, timing in timings.items():
            if isinstance(timing, Failure):
                self._rows.fail(name, timing)
                continue
            self._timings[name] = timing
            if timing.opened.stand_in:
                needs = NEEDS.get(self._rows.job(name).target, "its own engine")
                self._rows.update(name, engine=Engine(name=timing.opened.stand_in, note="a stand-in"), latency_needs=needs)
                continue
            self._rows.update(
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
        reference = self._rows.reference({job.name for job in self._rows.running})
        if reference is None or self._site.emulated:
            return
        theirs = self._timings[reference].latency
        for name, timing in self._timings.items():
            if name != reference and timing.latency is not None and theirs is not None:
                self._rows.update(name, latency_ratio=compare_latency(timing.latency, theirs, reference))

    def _note_assumptions(self) -> None:
        for job in self._rows.running:
            spec = self._opened(job.name).spec
            if job.spec is None and (spec.note or spec.resizing_note):
                self._notes.append(note_on(job.name, "; ".join(filter(None, (spec.note, spec.resizing_note)))))

    # accuracy

    def _staff(self, crew: Crew, workers: list[Worker]) -> _Examiners:
        """As many as cores, none where a pool does their work; those of the latency runs go on."""
        wanted = self._site.cores if self._machine else self._options.cores
        wanted = 0 if self._pool or not self._rows.running else wanted
        modules = [shares.__name__, self._open_runner.__module__, *engines(job.target for job in self._rows.running)]
        return _Examiners(crew, wanted, workers, modules)

    def _opened(self, name: str) -> Opened:
        return self._timings[name].opened

    def _examine(self, images: dict[str, JobImages | Failure]) -> None:
        for job in self._rows.running:
            found = images.get(job.name)
            if isinstance(found, Failure):
                self._rows.fail(job.name, found)
            elif found is not None:
                self._images[job.name] = found
        asked = [job for job in self._rows.running if job.name in images]
        for name, found in self._put(asked, self._open_runner).items():
            if isinstance(found, Failure):
                self._rows.fail(name, found)
            elif found.not_numbers:
                self._rows.fail(
                    name, Failure("failed", f"scores of {found.not_numbers} of {len(found.winners)} images are not numbers")
                )
            else:
                self._answers[name] = found

    def _put(self, jobs: list[BenchJob], open_runner: OpenRunner) -> dict[str, Answers | Failure]:
        """What the artifacts answer to their images."""
        images = {job.name: self._images[job.name] for job in jobs}
        exams = [
            Exam(job.name, job.path, self._opened(job.name).spec, images[job.name].pixels, images[job.name].labels)
            for job in jobs
        ]
        timeout_s = self._options.timeout_s

        def progress(name: str, done: int, total: int) -> None:
            self._on_event(Event("accuracy", name, done, total))

        if self._pool:
            return examine_on(self._pool, exams, open_runner, timeout_s=timeout_s, progress=progress)
        staff = self._examiners
        return examine(exams, staff.workers, open_runner, hire=staff.hire, timeout_s=timeout_s, progress=progress)

    def _compare_with_other_engines(self) -> None:
        """Where the engine is one that only some systems have, or one that this processor makes clip sums: how another answers."""
        jobs = [job for job in self._rows.running if job.name in self._answers]
        engines = [job for job in jobs if job.target in NEEDS and not self._opened(job.name).stand_in]
        here = self._site.environment
        clipped = jobs if may_saturate(here.machine, here.instruction_sets) else []
        clipped = [job for job in clipped if job.target == "onnx" and clips_sums(job.path)]
        self._compare_with(self._open_stand_in, engines, STAND_IN)
        self._compare_with(self._open_exact, clipped, EXACT)

    def _compare_with(self, open_other: OpenRunner | None, jobs: list[BenchJob], called: str) -> None:
        field, words = _OTHERS[called]
        for name, found in self._put(jobs, open_other).items() if open_other and jobs else ():
            if isinstance(found, Failure) or found.not_numbers:
                reason = found.reason if isinstance(found, Failure) else "its scores are not numbers"
                self._notes.append(note_on(name, f"not compared with {words}: {reason}"))
            else:
                images = self._images[name]
                self._rows.update(name, **{field: flips_of(self._answers[name], found, called, images.labels, images.name)})

    def _mark(self) -> None:
        reference = self._rows.reference(self._answers.keys())
        for name, answers in self._answers.items():
            accuracy, labels, names = accuracy_of(answers), self._images[name].labels, self._class_names(name)
            theirs = self._answers[reference] if reference and self._comparable(name, reference) else None
            if labels is not None and answers.scores is not None:
                self._rows.update(name, multilabel=multilabel_accuracy(answers.scores, labels, names, theirs and theirs.scores))
            elif accuracy is not None and labels is not None:
                self._rows.update(name, accuracy=with_classes(accuracy, answers, labels, names, theirs))

    def _class_names(self, name: str) -> tuple[str, ...]:
        job, opened = self._rows.job(name), self._images[name].opened
        known = opened.class_names if opened else ()
        return job.labels or (self._source.labels if self._source else None) or known

    # flips

    def _comparable(self, name: str, reference: str) -> bool:
        """A file from elsewhere may know other classes, or take other images. The reference itself is not compared."""
        same_outputs = self._opened(name).outputs == self._opened(reference).outputs
        same_images = len(self._answers[name].winners) == len(self._answers[reference].winners)
        return name != reference and same_outputs and same_images

    def _count_flips(self) -> bool:
        """Count flips against the float32 artifact; whether there is one."""
        reference = self._rows.reference(self._answers.keys())
        if reference is None:
            return False
        for name, answers in self._answers.items():
            if self._comparable(name, reference):
                images = self._images[name]
                self._rows.update(name, flips=flips_of(answers, self._answers[reference], reference, images.labels, images.name))
        return True

    def _compare_with_source(self, reference: Reference, keep: contextlib.ExitStack) -> None:
        jobs = [job for job in self._rows.running if not job.foreign]
        if not jobs:
            return
        pixels = keep.enter_context(reference.write()).finish()
        marked, self._answers = self._answers, {}
        self._examine({job.name: JobImages(pixels, None) for job in jobs if self._fits(job, reference)})
        for name, answers in self._answers.items():
            self._rows.update(name, flips=flips_of(answers, reference.answers(self._opened(name).output_kind), SOURCE))
        self._compare_with_other_engines()
        self._answers = marked
        self._notes.append(
            f"flips are counted against the source model on {counted(len(reference.images), 'image')} stored with the artifacts"
        )

    def _fits(self, job: BenchJob, reference: Reference) -> bool:
        opened = self._opened(job.name)
        size = (opened.spec.height, opened.spec.width, opened.spec.channels)
        return reference.images.shape[1:] == size and reference.scores.shape[1] == opened.outputs

    def _report(self) -> Report:
        return Report(
            created=datetime.datetime.now(datetime.UTC),
            edgecls_version=__version__,
            labels=list(self._source.labels or ()) if self._source else [],
            image_spec=next((job.spec for job in self._rows.jobs if job.spec is not None and not job.foreign), None),
            environment=self._site.environment,
            data=self._opened_source.used if self._opened_source else None,
            notes=self._notes,
            measurements=self._rows.measurements,
        )
