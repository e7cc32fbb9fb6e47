"""Peak memory of `edgecls convert --schemes tflite:int8` with 100 calibration images and with 5,000: it must not grow with their number.

A small CNN of 96 x 96 pixels, so that the images outweigh the model: 5,000 of them are 138 MB. Memory is the largest sum of the
proportional set sizes of the command and its workers; most of it is TensorFlow.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from _process import measure

COUNTS = (100, 5000)
_MODEL = """
import sys, keras
keras.utils.set_random_seed(0)
L = keras.layers
keras.Sequential([keras.Input((96, 96, 3)), L.Conv2D(8, 3, 2, activation="relu"), L.Conv2D(16, 3, 2, activation="relu"),
    L.GlobalAveragePooling2D(), L.Dense(10, activation="softmax")]).save(sys.argv[1])
"""


def main() -> None:
    """Measure and print the table."""
    print("| calibration images | seconds | peak MiB | of 100 images |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, images = folder / "model.keras", folder / "images.npz"
        subprocess.run([sys.executable, "-c", _MODEL, model], check=True, capture_output=True)
        pixels = np.random.default_rng(0).integers(0, 256, (max(COUNTS), 96, 96, 3)).astype(np.uint8)
        np.savez_compressed(images, x=pixels, y=np.arange(len(pixels)) % 10)
        smallest = 0
        for count in COUNTS:
            options = ["--calibration", images, "--calibration-images", count, "-o", folder / f"out-{count}", "--no-verify"]
            run = measure(
                [
                    sys.executable,
                    "-m",
                    "edgecls.cli",
                    "convert",
                    model,
                    "--targets",
                    "tflite",
                    "--schemes",
                    "int8",
                    *map(str, options),
                ]
            )
            smallest = smallest or run.peak_bytes
            print(f"| {count} | {run.seconds:.1f} | {run.peak_bytes / 2**20:.0f} | {run.peak_bytes / smallest:.2f} |")


if __name__ == "__main__":
    main()
