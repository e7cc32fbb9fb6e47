"""Seconds and memory to make eight artifacts of MobileNetV2 1.0-224: edgecls against each library's documented calls.

Keras 3, random weights, 100 calibration images. Verification is left out on both sides: the libraries have none. Both sides start as
fresh processes from the saved model and end with all files written.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _process import Run, compile_modules, measure

HERE = Path(__file__).resolve().parent
ARTIFACTS = [
    "tflite:float32",
    "tflite:float16",
    "tflite:dynamic",
    "tflite:int8",
    "onnx:float32",
    "onnx:int8",
    "coreml:float16",
    "coreml:weight8",
]
_PREPARE = """
import sys, numpy as np, keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(weights=None).save(sys.argv[1])
generator = np.random.default_rng(0)
coarse = generator.integers(0, 256, (100, 8, 8, 3)).repeat(28, 1).repeat(28, 2)  # patches of colour with a little noise
images = np.clip(coarse + generator.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)
np.savez(sys.argv[2], x_train=images, y_train=np.zeros(100, np.int64))
"""


def main() -> None:
    """Measure both and print the table."""
    compile_modules()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, images = folder / "mobilenet_v2.keras", folder / "images.npz"
        subprocess.run([sys.executable, "-c", _PREPARE, model, images], check=True, capture_output=True)
        documented = _documented(model, images, folder)
        edgecls = measure(_edgecls(model, images, folder / "edgecls"))
    print(f"\n{'':18}{'seconds':>9}{'peak MiB':>10}")
    for title, run in (("documented calls", documented), ("edgecls convert", edgecls)):
        print(f"{title:18}{run.seconds:9.1f}{run.peak_bytes / 2**20:10.0f}")
    print(f"{'ratio':18}{documented.seconds / edgecls.seconds:8.2f}x{documented.peak_bytes / max(1, edgecls.peak_bytes):9.2f}x")


def _documented(model: Path, images: Path, folder: Path) -> Run:
    out = folder / "documented"
    out.mkdir()
    run = measure([sys.executable, HERE / "_documented_calls.py", model, images, out])
    for step, seconds in json.loads(run.stdout.splitlines()[-1]).items():
        print(f"  {step:26}{seconds:6.1f} s")
    return run


def _edgecls(model: Path, images: Path, out: Path) -> list[str | Path]:
    command = [sys.executable, "-m", "edgecls.cli", "convert", model, "--calibration", images, "-o", out, "--no-verify"]
    return [*command, "--targets", "tflite,onnx,coreml", "--schemes", ",".join(ARTIFACTS), "--preprocess=-1..1"]


if __name__ == "__main__":
    main()
