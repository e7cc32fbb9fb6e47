"""How pictures enter the artifacts that `bench` measures: as asked, or as fits labelled images best."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from edgecls.crew import BenchJob, BenchOptions, Failure, ImageSource
from edgecls.data import ImageSet, open_images
from edgecls.errors import DataError, EdgeclsError, InputError
from edgecls.evaluation import TriedOption, fit_preprocess, image_spec_of, try_order, try_resizing
from edgecls.formats import describe
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner

AUTO = "auto"
FIT_IMAGES = 500  # enough to tell preprocessings apart
_FLOAT = {"float32", "float16"}


@dataclass(frozen=True)
class ImageChoices:
    """What `--preprocess` (also `auto`), `--fit` and `--filter` said; None where they were not given."""

    preprocess: str | None = None
    fit: str | None = None
    filter: str | None = None


def with_choices(
    jobs: list[BenchJob], asked: ImageChoices, images: ImageSource | None, options: BenchOptions
) -> tuple[list[BenchJob], list[str]]:
    """The jobs with the image specs that were asked, and notes on them.

    Raises:
        InputError: no such choice, or `auto` without a float artifact to try it on.
        DataError: `auto` without labelled images.
    """
    if asked == ImageChoices():
        return jobs, []
    jobs = [_resized(_with_spec(job, asked, options.timeout_s), asked) for job in jobs]
    if asked.preprocess is None:
        return jobs, []
    if asked.preprocess != AUTO:
        return [_preprocessed(job, asked.preprocess, fitted=False) for job in jobs], []
    return _fitted(jobs, asked, images, options)


def _with_spec(job: BenchJob, asked: ImageChoices, timeout_s: float) -> BenchJob:
    """A file from elsewhere with what it says itself about its images; what is wrong with it is its own row's failure."""
    heeds_some = _takes_preprocessing(job) or (job.failure is None and (asked.fit, asked.filter) != (None, None))
    if job.spec is not None or not heeds_some:
        return job
    found = image_spec_of(job.path, job.target, open_runner=open_runner, timeout_s=timeout_s)
    return replace(job, failure=found) if isinstance(found, Failure) else replace(job, spec=found)


def _takes_preprocessing(job: BenchJob) -> bool:
    return job.target != "coreml" and job.failure is None  # Core ML's preprocessing is part of the program


def _resized(job: BenchJob, asked: ImageChoices) -> BenchJob:
    return replace(job, spec=job.spec.with_choices(fit=asked.fit, filter=asked.filter)) if job.spec else job


def _preprocessed(job: BenchJob, preprocess: str, *, fitted: bool) -> BenchJob:
    if job.spec is None or not _takes_preprocessing(job):
        return job
    return replace(job, spec=job.spec.with_preprocess(preprocess, "fitted" if fitted else "declared"))


def _fitted(
    jobs: list[BenchJob], asked: ImageChoices, images: ImageSource | None, options: BenchOptions
) -> tuple[list[BenchJob], list[str]]:
    """The jobs with preprocessing, fit and filter that suit labelled images, found in this order; notes with all figures."""
    if images is None:
        raise DataError("labelled images for --preprocess auto", "none", "name them with --data")
    job = _float_job(jobs)
    if job.spec is None:
        raise InputError("a float artifact that opens", f"{job.name}", "convert it again")

    def open_set(spec: ImageSpec) -> ImageSet:
        return open_images(images.path, spec, role="data", labels=images.labels, limit=images.limit or FIT_IMAGES)

    opened = open_set(job.spec)
    measure = f"{'mAP' if opened.multi_hot else 'top-1'} of {job.name}"
    preprocess, notes = _best_preprocess(job, job.spec, opened, measure, options)
    if preprocess is not None:
        jobs = [_preprocessed(other, preprocess, fitted=True) for other in jobs]
        if programs := [other.name for other in jobs if other.target == "coreml"]:
            notes.append(f"{', '.join(programs)}: measured with what is in the program, as converted")
    for option in ("fit", "filter"):
        if getattr(asked, option) is None:
            job = next(other for other in jobs if other.name == job.name)
            assert job.spec is not None  # it was there before
            tried = try_resizing(job.path, job.spec, option, open_set, open_runner=open_runner, options=options)
            notes.append(_told(tried, measure, f"--{option} {tried.chosen}"))
            if tried.chosen != tried.before:
                jobs = [_with_resizing(other, tried) for other in jobs]
    return jobs, notes


def _best_preprocess(
    job: BenchJob, spec: ImageSpec, images: ImageSet, measure: str, options: BenchOptions
) -> tuple[str | None, list[str]]:
    """The preprocessing that suits labelled images, of one inside the model the order of its channels; None where it stays; notes."""
    if spec.provenance != "in-model":
        ranked = fit_preprocess(job.path, images, open_runner=open_runner, spec=spec, options=options)
        best = ranked[0][0]
        return best, [f"preprocessing {best} fits best ({measure}: {_figures(ranked)}); convert with --preprocess={best}"]
    notes = [f"preprocessing is inside {job.name}: none was tried"]
    if spec.channels != 3 or images.dtype != "uint8":  # floats have an order of their own
        return None, notes
    tried = try_order(job.path, spec, images, open_runner=open_runner, options=options)
    turned = spec.with_turned_channels.preprocess
    return (None if tried.chosen == tried.before else turned), [*notes, _told(tried, measure, f"--preprocess={turned}")]


def _with_resizing(job: BenchJob, tried: TriedOption) -> BenchJob:
    return replace(job, spec=job.spec.with_choices(**{tried.option: tried.chosen}, provenance="fitted")) if job.spec else job


def _told(tried: TriedOption, measure: str, asking: str) -> str:
    scores = dict(tried.ranked)
    figures = f"{measure} on {tried.images} images: {_figures(tried.ranked)}"
    if tried.chosen == tried.before:
        return f"{tried.option} {tried.before} stays: none of the others is better beyond chance ({figures})"
    gain = 100 * (scores[tried.chosen] - scores[tried.before])
    return f"{tried.option} {tried.chosen} fits best, {gain:.1f} points above {tried.before} ({figures}); convert with {asking}"


def _figures(ranked: list[tuple[str, float]]) -> str:
    return ", ".join(f"{choice} {score:.1%}" for choice, score in ranked)


def _float_job(jobs: list[BenchJob]) -> BenchJob:
    """What a preprocessing can be fitted on: integer artifacts have the ranges of one preprocessing built in.

    Raises:
        InputError: there is none.
    """
    usable = [job for job in jobs if _takes_preprocessing(job)]
    own = [job for job in usable if job.scheme in _FLOAT]
    own.sort(key=lambda job: (job.scheme != "float32", job.target != "tflite"))
    chosen = next((job for job in (*own, *usable) if job in own or (job.foreign and _computes_in_float(job.path))), None)
    if chosen is None:
        names = ", ".join(job.name for job in jobs)
        remedy = "convert with the scheme float32 too, or name the preprocessing"
        raise InputError("a float .tflite or .onnx to fit the preprocessing on", names, remedy)
    return chosen


def _computes_in_float(path: Path) -> bool:
    with contextlib.suppress(EdgeclsError):
        return not any(dtype in ("int8", "uint8", "int16") for dtype in describe(path).actual.activation_dtypes)
    return False
