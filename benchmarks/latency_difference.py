"""Does a bench tell artifacts apart that differ, and only those? The same file under two names, and one that is slowed by 5 %.

An A/A test: MobileNetV2 1.0-224 float32 as TFLite, twice in one bench; the latency ratio should be `no difference` in at least 95 of 100
runs. Then the second is slowed (`_slowed.py`); at least 9 of 10 runs should say `slower`.

python latency_difference.py [A/A RUNS, 20] [SLOWED RUNS, 10] [MIN_SECONDS, 5]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from _artifacts import make_artifacts
from _slowed import open_slowed
from edgecls.crew import BenchJob, BenchOptions
from edgecls.records.measurement import Measurement
from edgecls.workflow.measuring import bench_artifacts

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Count the verdicts."""
    os.environ["PYTHONPATH"] = str(HERE)  # where workers find _slowed
    given = [float(value) for value in sys.argv[1:4]]
    same_runs, slowed_runs, min_seconds = (*given, *(20.0, 10.0, 5.0)[len(given) :])
    with tempfile.TemporaryDirectory() as name:
        model = make_artifacts(Path(name), targets="tflite", schemes="float32")["tflite-float32"]
        print(f"| {min_seconds:g} s each | runs | no difference | slower | faster | of them invalid |")
        print("| --- | --- | --- | --- | --- | --- |")
        for second, count in (("same", int(same_runs)), ("slowed", int(slowed_runs))):
            other = Path(name) / f"{second}.tflite"
            other.write_bytes(model.read_bytes())
            rows = [_second_row(model, other, min_seconds) for _ in range(count)]
            verdicts = [row.latency_ratio.verdict for row in rows if row.latency_ratio]
            invalid = sum(bool(row.latency and row.latency.validity and row.latency.validity.reasons) for row in rows)
            counts = " | ".join(str(verdicts.count(verdict)) for verdict in ("no difference", "slower", "faster"))
            print(f"| {second} | {count} | {counts} | {invalid} |")


def _second_row(model: Path, other: Path, min_seconds: float) -> Measurement:
    jobs = [BenchJob("first", model, "tflite", "float32"), BenchJob(other.stem, other, "tflite", foreign=True)]
    report = bench_artifacts(jobs, None, BenchOptions(min_seconds=min_seconds), open_runner=open_slowed)
    return report.measurements[1]


if __name__ == "__main__":
    main()
