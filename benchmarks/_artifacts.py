"""Artifacts of MobileNetV2 1.0-224 (Keras 3, random weights) made by edgecls, for the benchmarks of measuring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PREPROCESS = "-1..1"
MODEL = """
import sys, keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(weights=None).save(sys.argv[1])
"""


def make_artifacts(folder: Path, *, targets: str = "tflite,onnx", schemes: str = "float32,float16") -> dict[str, Path]:
    """`<target>-<scheme>` -> file."""
    model, out = folder / "mobilenet_v2.keras", folder / "artifacts"
    subprocess.run([sys.executable, "-c", MODEL, model], check=True, capture_output=True)
    command = [sys.executable, "-m", "edgecls.cli", "convert", model, "--targets", targets, "--schemes", schemes, "--no-verify"]
    subprocess.run([*command, f"--preprocess={PREPROCESS}", "-o", out], check=True, capture_output=True)
    return {path.stem.removeprefix("base-"): path for path in sorted(out.iterdir()) if path.suffix in (".tflite", ".onnx")}
