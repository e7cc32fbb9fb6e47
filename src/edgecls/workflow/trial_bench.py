"""How a search measures: each trial's artifacts beside the float model, on one half of the held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgecls.crew import BenchJob, BenchOptions, ImageSource
from edgecls.evaluation.loss import loss_of
from edgecls.records.artifact import Artifact, Manifest
from edgecls.records.measurement import Measurement
from edgecls.records.recipe import BASE
from edgecls.records.report import Report
from edgecls.records.trial import Minimize
from edgecls.runners import open_exact, open_runner, open_stand_in
from edgecls.system.machine import Machine
from edgecls.workflow.measuring import bench_artifacts
from edgecls.workflow.trial_making import Prepared

REFERENCE = "float"  # name of the float model's row


@dataclass(frozen=True)
class TrialBench:
    """Measures artifacts beside the float model.

    Attributes:
        reference: folder of the float32 artifact that all are compared with.
        options: how to measure latency.
        machine: where latency is measured; None for here. Accuracy is measured here.
    """

    prepared: Prepared
    reference: Path
    options: BenchOptions
    machine: Machine | None = None

    def measure(self, named: dict[str, tuple[Path, Artifact]], images: Path) -> Report:
        """One run, the float model's row first.

        Args:
            named: name of a row -> folder and record of the artifact.
            images: archive of the half to ask about.

        Raises:
            WorkerError: the machine does not answer.
        """
        manifest = Manifest.read(self.reference)
        jobs = [self._job(REFERENCE, self.reference, manifest.artifacts[0])]
        jobs += [self._job(name, folder, artifact) for name, (folder, artifact) in named.items()]
        scores = (self.prepared.output_kind, self.prepared.outputs)
        source = ImageSource(images, self.prepared.labels, scores=scores)
        here = self.options if self.machine is None else replace(self.options, min_seconds=0.0, min_runs=1)
        report = _bench(jobs, source, here, None)
        if self.machine is None:
            return report
        there = {row.artifact: row for row in _bench(jobs, None, self.options, self.machine).measurements}
        rows = [_with_latency(row, there[row.artifact]) for row in report.measurements]
        note = f"latency is that of {self.machine.name}"
        return report.model_copy(update={"measurements": rows, "notes": [*report.notes, note]})

    def _job(self, name: str, folder: Path, artifact: Artifact) -> BenchJob:
        return BenchJob(
            name=name,
            path=folder / artifact.path,
            target=artifact.target,
            scheme=artifact.scheme,
            variant=BASE if name == REFERENCE else artifact.variant,
            spec=self.prepared.spec,
            size_bytes=artifact.size_bytes,
            compressed_bytes=artifact.compressed_bytes,
        )


def drop_of(rows: Sequence[Measurement], reference: Measurement) -> float | None:
    """Percentage points that the worst of some rows loses against the float model's; None where one did not run."""
    losses = [loss_of(row, reference) if row.status == "ok" else None for row in rows]
    points = [loss.points for loss in losses if loss is not None]
    return max(points) if len(points) == len(rows) and points else None


def value_of(rows: Sequence[Measurement], reference: Measurement, minimize: Minimize) -> float | None:
    """What is to be small, over all rows: bytes, or latency as a multiple of the float model's; None where it is not known."""
    if minimize != "latency":
        sizes = [row.compressed_bytes if minimize == "download" else row.size_bytes for row in rows]
        return float(sum(sizes)) if all(sizes) else None
    base = reference.latency
    medians = [row.latency.p50_ms for row in rows if row.latency is not None]
    if base is None or not base.p50_ms or len(medians) < len(rows) or not rows:
        return None
    return math.exp(math.fsum(math.log(median / base.p50_ms) for median in medians) / len(medians))


def _bench(jobs: list[BenchJob], source: ImageSource | None, options: BenchOptions, machine: Machine | None) -> Report:
    return bench_artifacts(
        jobs,
        source,
        options,
        open_runner=open_runner,
        open_stand_in=open_stand_in,
        open_exact=open_exact,
        machine=machine,
    )


def _with_latency(row: Measurement, there: Measurement) -> Measurement:
    if row.status != "ok":
        return row
    if there.status != "ok":
        return row.model_copy(update={"status": there.status, "reason": there.reason})
    fields = ("latency", "latency_ratio", "load_ms", "first_inference_ms", "peak_memory_bytes", "latency_needs")
    return row.model_copy(update={name: getattr(there, name) for name in fields})
