"""The Core ML reference beside ONNX Runtime on the same model converted to ONNX: speed, time to open, memory.

MobileNetV2 1.0-224 float32 with random weights. Both sides answer the same images in turns, in one process, on one thread; the ratio of the
medians counts. Opening and memory are measured in fresh processes. Memory is what the process holds after its first image beyond what it
held before opening, over the bytes of the weights.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from _artifacts import make_artifacts

ROUNDS = 30
_OPEN = """
import json, sys, time
from pathlib import Path
start = time.monotonic()
import numpy as np
import onnx, onnxruntime
from edgecls.coreml_reference import open_program
imported = time.monotonic()

def held():
    return {line.split(":")[0]: int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("Rss")}

before = held()
program = open_program(Path(sys.argv[1]))
opened = time.monotonic()
program.run(np.zeros((1, 224, 224, 3), np.uint8))
first = time.monotonic()
after = held()
growth = {name: (after[name] - before[name]) * 1024 for name in ("RssAnon", "RssFile")}
print(json.dumps({"import": imported - start, "open": opened - imported, "first": first - opened, **growth}))
"""


def main() -> None:
    """Measure and print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_artifacts(folder, targets="coreml,onnx", schemes="float32")
        package = next((folder / "artifacts").glob("*.mlpackage"))
        _print_speed(package, next((folder / "artifacts").glob("*.onnx")))
        _print_opening(package)


def _print_speed(package: Path, model: Path) -> None:
    from edgecls.runners import open_runner
    from edgecls.runners.coreml_reference import CoreMLReferenceRunner

    onnx, spec = open_runner(model), open_runner(model).spec
    reference = CoreMLReferenceRunner(package, spec, None, 1)
    images = np.random.default_rng(0).integers(0, 256, (8, spec.height, spec.width, spec.channels)).astype(np.uint8)
    print("| images at a time | reference, ms | onnxruntime, ms | ratio |")
    print("| --- | --: | --: | --: |")
    for count in (1, 8):
        ours, theirs = _medians_ms([lambda n=count: reference.predict(images[:n]), lambda n=count: onnx.predict(images[:n])])
        print(f"| {count} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")


def _medians_ms(calls: list[Callable[[], object]]) -> list[float]:
    """Medians of calls that take turns."""
    samples: list[list[float]] = [[] for _ in calls]
    for turn in range(ROUNDS + 3):
        for call, taken in zip(calls, samples, strict=True):
            start = time.perf_counter_ns()
            call()
            if turn >= 3:  # before that, caches and buffers are still growing
                taken.append((time.perf_counter_ns() - start) / 1e6)
    return [statistics.median(taken) for taken in samples]


def _print_opening(package: Path) -> None:
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", _OPEN, package], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    weights = next(package.rglob("weight.bin")).stat().st_size
    print("\n| | |\n| --- | --: |")
    print(f"| import onnxruntime and edgecls, s | {median['import']:.2f} |")
    print(f"| open the package, s | {median['open']:.2f} |")
    print(f"| first image, with the engine's own preparation, s | {median['first']:.2f} |")
    print(f"| weights, MiB | {weights / 2**20:.1f} |")
    print(f"| memory of its own after the first image, MiB | {median['RssAnon'] / 2**20:.1f} |")
    print(f"| pages of the file, MiB | {median['RssFile'] / 2**20:.1f} |")


if __name__ == "__main__":
    main()
