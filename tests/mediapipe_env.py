"""MediaPipe in an environment of its own: it wants other versions of packages edgecls needs.

`python tests/mediapipe_env.py` makes it; the tests make it when it is absent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import TypedDict

VERSION = "1.2.2"
ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-mediapipe"


class Category(TypedDict):
    """One class of an answer."""

    label: str
    index: int
    score: float


class MediaPipeError(Exception):
    """MediaPipe refused a model; the message is its own."""


def interpreter() -> Path:
    """The environment's Python, installed first where it is absent.

    Raises:
        OSError, subprocess.CalledProcessError: it cannot be installed here.
    """
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not list(ENVIRONMENT.glob(f"**/site-packages/mediapipe-{VERSION}.dist-info/RECORD")):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", f"mediapipe=={VERSION}"]
        subprocess.run(command, check=True, capture_output=True, timeout=800)
    return python


def classify(model: Path, images: list[Path]) -> list[list[Category]]:
    """What MediaPipe Tasks' ImageClassifier says of each image, given nothing but the model file: all classes, best first.

    Raises:
        MediaPipeError: it refuses the model.
    """
    script = Path(__file__).with_name("mediapipe_classify.py")
    command = [interpreter(), script, model, *images]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise MediaPipeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return json.loads(done.stdout)


if __name__ == "__main__":
    interpreter()
