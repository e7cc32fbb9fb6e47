"""Peak memory of `edgecls bench` with 100 images and with 5,000: it must not grow with their number.

MobileNetV2 1.0-224 float32; photos as class folders (decoded by threads) and as a compressed `.npz` (streamed). Memory is the largest sum
of the proportional set sizes of the command and its workers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from _artifacts import make_artifacts
from _photos import save_photos
from _process import measure

COUNTS = (100, 5000)


def main() -> None:
    """Measure and print the table."""
    print("| images | as | seconds | peak MiB | of 100 images |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_artifacts(folder, targets="tflite", schemes="float32")
        for kind, save in (("class folders", _save_folder), (".npz", _save_archive)):
            smallest = 0
            for count in COUNTS:
                data = save(folder, count)
                options = ["--min-seconds", "0.1", "--min-runs", "10", "--out", str(folder / "results.json")]
                run = measure([sys.executable, "-m", "edgecls.cli", "bench", folder / "artifacts", "--data", data, *options])
                smallest = smallest or run.peak_bytes
                print(
                    f"| {count} | {kind} | {run.seconds:.1f} | {run.peak_bytes / 2**20:.0f} | {run.peak_bytes / smallest:.2f} |"
                )


def _save_folder(folder: Path, count: int) -> Path:
    save_photos(folder / f"photos-{count}", count, size=(320, 240))
    return folder / f"photos-{count}"


def _save_archive(folder: Path, count: int) -> Path:
    path = folder / f"images-{count}.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (count, 96, 96, 3)).astype(np.uint8)
    np.savez_compressed(path, x=pixels, y=np.arange(count) % 1000)
    return path


if __name__ == "__main__":
    main()
