"""What the engines write for their developers does not reach the user's terminal; each says it once in a process, so this needs one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from edgecls.system.extras import require


def test_int8_conversion_is_quiet(tmp_path: Path) -> None:
    keras = require("keras")
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(tmp_path / "m.keras")
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8))
    files = ("m.keras", "--calibration", "images.npz", "--preprocess", "0..1")
    command = [sys.executable, "-m", "edgecls.cli", "convert", *files, "--targets", "tflite", "--schemes", "int8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "INFO" not in done.stderr + done.stdout
