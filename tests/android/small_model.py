"""A small classifier, converted and embedded into a copy of the Android sample."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLONE = Path(__file__).resolve().parents[2]
ARTIFACTS = ("base-tflite-float32", "base-tflite-int8", "base-onnx-float32", "base-onnx-int8")
HEIGHT, WIDTH = 40, 32
LABELS = ("cat", "dog", "horse", "lorry", "ship")


@dataclass(frozen=True)
class Built:
    """What came of the sample.

    Attributes:
        artifacts: the folder that was embedded.
        sample: the project.
        words: what `tools/android` printed.
    """

    artifacts: Path
    sample: Path
    words: str

    @property
    def build(self) -> Path:
        """What was made: `edgecls-sample.apk`, `screens/`."""
        return self.sample / "build"


def embedded_sample(folder: Path) -> tuple[Path, Path]:
    """The artifacts folder, and a copy of the sample into which they are embedded."""
    sample, artifacts = folder / "android_sample", folder / "small.artifacts"
    shutil.copytree(CLONE / "android_sample", sample, ignore=shutil.ignore_patterns("build", ".gradle", "assets"))
    _make_model(folder)
    what = ("--targets", "tflite,onnx", "--schemes", "float32,int8", "--preprocess=-1..1")
    files = ("--calibration", folder / "images.npz", "--labels", folder / "labels.txt")
    _edgecls("convert", folder / "small.keras", "--out", artifacts, *what, *files)
    embed_all(artifacts, sample)
    return artifacts, sample


def embed_all(artifacts: Path, sample: Path) -> None:
    """Put a folder's float32 and int8 files into a copy of the sample, in the place of what is there."""
    names = [word for name in ARTIFACTS for word in ("--artifact", name)]
    _edgecls("embed", artifacts, "--into", sample, *names)


def _make_model(folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((HEIGHT, WIDTH, 3)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(len(LABELS), activation="softmax"),
    ])  # fmt: skip
    model.save(folder / "small.keras")
    images = np.random.default_rng(0).integers(0, 256, (32, HEIGHT, WIDTH, 3)).astype(np.uint8)
    np.savez(folder / "images.npz", x=images)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")


def _edgecls(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "edgecls.cli", *map(str, arguments)], check=True)


if __name__ == "__main__":
    embedded_sample(Path(sys.argv[1]))
