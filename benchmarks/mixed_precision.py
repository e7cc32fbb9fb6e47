"""What does an accuracy goal cost? MobileNetV1-0.25 on flower photos: layers that stay float for an agreement, size and latency.

A hard case: a thin network on photos unlike most it was trained on. 100 photos calibrate; every second of 736 chooses, the others judge.
The model and the photos are looked for in ../shared beside the clone. About five minutes on two cores.

    python benchmarks/mixed_precision.py [POINTS, 10 8 6 5 3]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from edgecls.crew import BenchOptions
from edgecls.records.artifact import Artifact
from edgecls.records.measurement import Measurement
from edgecls.workflow import BenchRequest, ConvertOptions, bench, convert

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODEL = SHARED / "zoo" / "imagenet_mobilenet_v1_025" / "mobilenet_v1_0.25_224.h5"
PHOTOS = SHARED / "data" / "flowers"


def main() -> None:
    """Print the table."""
    goals = [None, *(f"drop<={points}" for points in (sys.argv[1:] or ["10", "8", "6", "5", "3"]))]
    print("| goal | operations kept float | agreement | TFLite bytes | TFLite p50 ms | ONNX p50 ms |")
    print("| --- | --: | --: | --: | --: | --: |")
    float_line = ""
    for goal in goals:
        with tempfile.TemporaryDirectory() as folder:
            rows, measured = _measure(Path(folder), goal)
        print(_line(goal or "none", rows, measured, "int8"), flush=True)
        float_line = float_line or _line("float32", rows, measured, "float32")
    print(float_line)


def _measure(folder: Path, goal: str | None) -> tuple[dict[str, Artifact], dict[str, Measurement]]:
    options = ConvertOptions(
        MODEL,
        output=folder / "out",
        targets=("tflite", "onnx"),
        schemes="float32,int8",
        calibration=PHOTOS,
        calibration_images=100,
        data=PHOTOS,
        preprocess="-1..1",
        mixed_precision=goal,
    )
    manifest = convert(options)
    report = bench(BenchRequest(folder=folder / "out", options=BenchOptions(min_seconds=3.0)))
    return {row.name: row for row in manifest.artifacts}, {row.artifact: row for row in report.measurements}


def _line(goal: str, rows: dict[str, Artifact], measured: dict[str, Measurement], scheme: str) -> str:
    tflite, onnx = (measured.get(f"base-{target}-{scheme}") for target in ("tflite", "onnx"))
    row = rows[f"base-tflite-{scheme}"]
    if row.status != "ok" or tflite is None or onnx is None:
        return f"| {goal} | {row.status}: {row.reason} | | | | |"
    flips = tflite.flips
    agreement = f"{1 - flips.count / flips.images:.1%}" if flips else ""
    times = [f"{one.latency.p50_ms:.2f}" if one.latency else "" for one in (tflite, onnx)]
    return f"| {goal} | {len(row.requested.keep_float)} | {agreement} | {row.size_bytes:,} | {' | '.join(times)} |"


if __name__ == "__main__":
    main()
