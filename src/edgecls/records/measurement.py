"""Measurement and Report: what was measured of each artifact, in one environment, with the raw samples.

`results.json` holds one Report. `docs/results.schema.json` is generated from these models (`make schema`); whatever else writes results,
as the samples on phones do, follows it. Only what every writer knows is required.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgecls.records.image_spec import ImageSpec
from edgecls.records.instant import Instant
from edgecls.records.multilabel import LabelSetFlip, MultiLabelAccuracy
from edgecls.records.record import FileRecord, Record

Status = Literal["ok", "crashed", "timeout", "unsupported", "failed"]
Doubt = Literal["too_few_runs", "too_noisy", "machine_loaded", "frequency_changed", "memory_swapped", "emulated"]


class Interval(Record):
    """A confidence interval, in the unit of what it belongs to."""

    low: float
    high: float
    confidence: float = 0.95


class ClassAccuracy(Record):
    """How one class fares. The first winner counts, as an application takes it.

    Attributes:
        index: of the class, as in the scores.
        support: images of this class.
        recall, precision, f1: 0..1; precision is 0 where the class was never answered.
        recall_interval: Wilson.
        recall_delta, f1_delta: against the reference that `Measurement.flips` names; negative is worse.
    """

    index: int
    label: str
    support: int
    recall: float
    precision: float
    f1: float
    recall_interval: Interval | None = None
    recall_delta: float | None = None
    f1_delta: float | None = None


class Confusion(Record):
    """The confusion matrix, without its zeros.

    Attributes:
        classes: number of rows and columns.
        entries: (label, first winner, images), ascending.
    """

    classes: int
    entries: list[tuple[int, int, int]]

    def dense(self) -> list[list[int]]:
        """Images by [label][winner]."""
        matrix = [[0] * self.classes for _ in range(self.classes)]
        for label, winner, images in self.entries:
            matrix[label][winner] = images
        return matrix


class CalibrationBin(Record):
    """The images whose highest score lies in one range: mean of that score, and share of hits among them."""

    images: int
    confidence: float
    accuracy: float


class Calibration(Record):
    """How far the highest score can be read as a probability.

    Attributes:
        ece: expected calibration error 0..1 (Guo et al. 2017, arXiv 1706.04599): mean over the images of |accuracy - confidence| of
            their bin.
        bins: of equal width over 0..1, ascending.
    """

    ece: float
    bins: list[CalibrationBin]


class Accuracy(Record):
    """Shares 0..1 over `images` labelled images.

    Attributes:
        top1: a tie counts as a win of one of the tied classes: each of k tied winners counts 1/k.
        top5: likewise; None where there are five classes or fewer.
        top1_interval, top5_interval: Wilson score intervals.
        tied_images: images with more than one winner, as int8 scores often have.
        top1_lowest, top1_highest: top1 if every tie were lost, and if every tie with the right class among its winners were won.
        calibration: None where scores are no probabilities.
    """

    images: int
    top1: float
    top5: float | None = None
    top1_interval: Interval | None = None
    top5_interval: Interval | None = None
    tied_images: int | None = None
    top1_lowest: float | None = None
    top1_highest: float | None = None
    classes: list[ClassAccuracy] = Field(default_factory=list)
    confusion: Confusion | None = None
    calibration: Calibration | None = None


class Flip(Record):
    """One image on which the first winner is not the reference's; classes are indices.

    Attributes:
        index: of the image in its set.
        image: its file's name, where it has one.
        label: None where it is not known.
    """

    index: int
    image: str = ""
    label: int | None = None
    reference_winner: int
    winner: int


class Flips(Record):
    """How often the winner differs from the reference's on the same images, or where several sigmoids answer, the set of predicted classes.

    Attributes:
        reference: name of an artifact, `source` for the source model, or `stand-in` for what computes where an artifact's engine is not.
        count: a tie counts by the share of winners the two do not have in common; a set counts as soon as one class differs.
        lost, gained: labelled images that only the reference, or only this artifact has right (first winner, or the whole set).
        mcnemar_p: exact p-value of McNemar's paired test that both err equally often; None without labels.
        images_listed: the images whose first winner differs: lost ones first, at most 1000 of all.
        sets_listed: likewise those whose set of predicted classes differs.
    """

    reference: str
    images: int
    count: int
    lost: int | None = None
    gained: int | None = None
    mcnemar_p: float | None = None
    images_listed: list[Flip] = Field(default_factory=list)
    sets_listed: list[LabelSetFlip] = Field(default_factory=list)


class Histogram(Record):
    """Counts between neighbouring edges; `edges_ms` has one more."""

    edges_ms: list[float]
    counts: list[int]


class Reason(Record):
    """Why a latency is not to be trusted, for machines and in words."""

    code: Doubt
    text: str


class Validity(Record):
    """Whether a latency may be compared with others; invalid for one of the reasons or more."""

    verdict: Literal["valid", "invalid"]
    reasons: list[Reason] = Field(default_factory=list)


class Conditions(Record):
    """What the machine did meanwhile. None where this platform does not tell.

    Attributes:
        others_cpu_share: processor time that others took, as a share of all cores, 0..1.
        load_average: of the last minute, as the measurement began.
        frequency_min_mhz, frequency_max_mhz: of the cores, over all turns.
        major_faults: pages this artifact's process had to fetch from disk while it was timed.
        swapped_pages: pages the system swapped in or out meanwhile.
    """

    others_cpu_share: float | None = None
    load_average: float | None = None
    frequency_min_mhz: float | None = None
    frequency_max_mhz: float | None = None
    major_faults: int | None = None
    swapped_pages: int | None = None


class Latency(Record):
    """Time of one inference of batch 1, in milliseconds; preprocessing excluded. No sample is ever dropped.

    Attributes:
        p50_interval: of the median, by bootstrap over blocks of consecutive samples.
        rounds_p50_ms: median of each turn, in order; artifacts take turns.
        samples_ms: in order, turn after turn.
    """

    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    min_ms: float
    max_ms: float
    samples_ms: list[float] = Field(default_factory=list)
    warmup_runs: int = 0
    p50_interval: Interval | None = None
    rounds_p50_ms: list[float] = Field(default_factory=list)
    histogram: Histogram | None = None
    validity: Validity | None = None
    conditions: Conditions | None = None


class ThreadsLatency(Record):
    """Latency with another number of threads."""

    threads: int
    latency: Latency


class LatencyRatio(Record):
    """Latency relative to the reference's, which took its turns in the same rounds.

    Attributes:
        reference: name of an artifact.
        ratio: geometric mean of the rounds' ratios of medians; above 1 is slower.
        interval: paired t interval of its logarithm, at 99 %.
        verdict: `no difference` where the interval holds 1.
    """

    reference: str
    ratio: float
    interval: Interval
    verdict: Literal["faster", "slower", "no difference"]


class Throughput(Record):
    """Images per second when `batch` images are handed over at once, preprocessing excluded.

    Attributes:
        engine_batch: how many of them the engine takes in one call: 1 where the file allows no more.
        batch_p50_ms: median time of one batch.
    """

    batch: int
    engine_batch: int
    threads: int
    images_per_second: float
    batch_p50_ms: float
    batches: int


class Minute(Record):
    """One minute of a sustained run."""

    minute: int
    runs: int
    p50_ms: float
    p90_ms: float


class Sustained(Record):
    """One inference after another without a pause: shows whether the processor gets slower as it gets warm.

    Attributes:
        slowdown: p50 of the last minute over p50 of the first.
    """

    threads: int
    minutes: list[Minute]
    slowdown: float


class Engine(Record):
    """What really ran the artifact.

    Attributes:
        name, version: `LiteRT`, `ONNX Runtime`, `Core ML`.
        delegate: what accelerates it, as found in effect: `XNNPACK`, `CPUExecutionProvider`; `none` where nothing does.
        verified: whether the engine itself was asked; otherwise it is its documented default.
        operations, delegated_operations: nodes the engine runs, and how many of the file's own the delegate took over.
        note: what a reader should know.
    """

    name: str
    version: str = ""
    delegate: str = ""
    verified: bool = False
    operations: int | None = None
    delegated_operations: int | None = None
    note: str = ""


class OperationTime(Record):
    """Time of one operation in one inference.

    Attributes:
        operation: its type in the engine's words.
        name: its place in the graph, where the engine tells.
        ms: median over the inferences.
        share: of all operations' time, 0..1.
        dtype: what it computes in, where known: `int8`, `float32` …
        accelerated: whether the delegate or a kernel of the requested dtype ran it; None where unknown.
    """

    operation: str
    name: str = ""
    ms: float
    share: float
    dtype: str = ""
    accelerated: bool | None = None


class Profile(Record):
    """Where an inference's time goes, operation by operation. Profiling costs time itself: shares count, not sums.

    Attributes:
        operations: the slowest first; empty where the engine times no single operation.
        float_share: share of the time spent in operations that compute in float, 0..1.
        unaccelerated_share: share of the time outside the delegate, or in conversions between dtypes and layouts.
        words: what follows from it, one sentence each.
    """

    runs: int
    total_ms: float
    operations: list[OperationTime]
    float_share: float | None = None
    unaccelerated_share: float | None = None
    words: list[str] = Field(default_factory=list)


class Measurement(Record):
    """One artifact, measured in one process of its own.

    Attributes:
        accuracy: on images with one label each; multilabel: on images with multi-hot labels.
        latency: with `threads` threads; `threads_latency` has further numbers of threads.
        load_ms, first_inference_ms: apart from `latency`, as an application's start sees them.
        profile_note: why there is no profile although one was asked for.
        not_measured: further figure that was asked for (`2 threads`, `batches of 8`, `a sustained run`) -> why there is none.
        latency_needs: the system on which its latency can be measured, where it is not this one.
        stand_in_flips: how its engine's winners differ from those of the reference that stands in for the engine on other systems, on the
            same images; None where only one of the two ran.
        exact_flips: how its winners differ from those it has where the engine's sums of int8 products are not clipped at 16 bits, on the
            same images; None where this processor clips none of its sums.
    """

    artifact: str
    path: str = ""
    target: str
    scheme: str
    status: Status = "ok"
    reason: str = ""
    size_bytes: int = 0
    compressed_bytes: int = 0
    accuracy: Accuracy | None = None
    multilabel: MultiLabelAccuracy | None = None
    flips: Flips | None = None
    latency: Latency | None = None
    latency_ratio: LatencyRatio | None = None
    load_ms: float | None = None
    first_inference_ms: float | None = None
    peak_memory_bytes: int | None = None
    threads: int = 1
    threads_latency: list[ThreadsLatency] = Field(default_factory=list)
    throughput: list[Throughput] = Field(default_factory=list)
    sustained: Sustained | None = None
    engine: Engine | None = None
    profile: Profile | None = None
    profile_note: str = ""
    not_measured: dict[str, str] = Field(default_factory=dict)
    latency_needs: str = ""
    stand_in_flips: Flips | None = None
    exact_flips: Flips | None = None


class Environment(Record):
    """Where it was measured.

    Attributes:
        instruction_sets: those that change what int8 files answer or how fast: `avx2`, `avx512`, `vnni`, `amx`; `neon`, `dotprod`, `i8mm`,
            `sve`. Empty where they are not known.
        device: what people call it, as `Pixel 8`; empty for a computer.
        python: empty where none is involved, as on a phone.
    """

    platform: str
    machine: str
    processor: str
    instruction_sets: list[str] = Field(default_factory=list)
    cores: int
    memory_bytes: int
    device: str = ""
    python: str = ""
    packages: dict[str, str] = Field(default_factory=dict)


class DataUsed(Record):
    """The images accuracy was measured on."""

    path: str
    images: int
    labelled: bool
    note: str = ""


class Report(FileRecord):
    """All measurements of one run: `results.json`.

    Attributes:
        created: when; a time without a zone, as some phones write it, is taken as one in UTC.
        labels: name of each class of the model, in the order of its scores.
    """

    kind = "results"
    versions = (1, 2)  # version 1 has fewer fields and no other meaning of any
    remedy = "measure again with `edgecls bench`, or name another file"

    schema_version: int = versions[-1]
    created: Instant
    edgecls_version: str
    source_sha256: str | None = None
    image_spec: ImageSpec | None = None
    labels: list[str] = Field(default_factory=list)
    environment: Environment
    data: DataUsed | None = None
    notes: list[str] = Field(default_factory=list)
    measurements: list[Measurement]

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read results of this version or an older one that means the same.

        Raises:
            ArtifactError: missing, damaged, or of another schema version.
        """
        return cls.read_file(path)


def results_schema() -> str:
    """JSON Schema of `results.json`, as `docs/results.schema.json` holds it."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: object) -> bool:  # titles made of the names themselves tell nothing
            return False

    found = Report.model_json_schema(schema_generator=Untitled)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "edgecls results"}
    schema["required"] = sorted({*schema["required"], "schema_version"})  # by which readers tell versions apart
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
