"""What measuring adds: the median latency of `edgecls bench` against litert-benchmark and a bare onnxruntime loop.

One thread. The two sides take turns, each in processes of its own, so that drift of the machine hits both; the ratio is the median over
the pairs of neighbours. The fastest inferences are compared too: they suffer least from what else the machine does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _artifacts import PREPROCESS, make_artifacts
from edgecls.crew import BenchJob, BenchOptions
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_runner
from edgecls.workflow.measuring import bench_artifacts

PAIRS = 9
RUNS = 150
HERE = Path(__file__).resolve().parent
SPEC = ImageSpec(height=224, width=224, channels=3).with_preprocess(PREPROCESS)


def main() -> None:
    """Measure and print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        artifacts = make_artifacts(Path(name), schemes="float32")
        for title, path in artifacts.items():
            pairs = [(_ours(path), _theirs(path, Path(name))) for _ in range(PAIRS)]
            ours, theirs = (statistics.median(side[0] for side in column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(mine[0] / other[0] for mine, other in pairs)
            fastest = min(mine[1] for mine, _ in pairs) / min(other[1] for _, other in pairs)
            other_clock = "litert-benchmark" if path.suffix == ".tflite" else "bare session.run"
            rows.append(f"| {title} | {other_clock} | {theirs:.2f} | {ours:.2f} | {ratio:.3f} | {fastest:.3f} |")
    print("| MobileNetV2 1.0-224 | other clock | its p50, ms | edgecls p50, ms | edgecls / other | of the fastest inferences |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def _ours(path: Path) -> tuple[float, float]:
    """(median, fastest) in milliseconds."""
    job = BenchJob("a", path, path.suffix[1:], spec=SPEC)
    options = BenchOptions(min_seconds=0.0, min_runs=RUNS)
    latency = bench_artifacts([job], None, options, open_runner=open_runner).measurements[0].latency
    assert latency is not None
    return latency.p50_ms, latency.min_ms


def _theirs(path: Path, folder: Path) -> tuple[float, float]:
    if path.suffix == ".onnx":
        median, fastest = _run([sys.executable, str(HERE / "_documented_loops.py"), "invoke", str(path), str(RUNS)]).split()
        return float(median), float(fastest)
    result = folder / "litert.json"
    arguments = ["--num_threads", "1", "--num_runs", str(RUNS), "--warmup_runs", "10", "--result_json", str(result)]
    _run([str(Path(sys.executable).with_name("litert-benchmark")), "--model", str(path), *arguments])
    latency = json.loads(result.read_text())["latency"]
    return latency["median_ms"], latency["min_ms"]


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
