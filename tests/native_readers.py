"""Readers behind which frameworks and engines stand: damaged models are loaded, damaged artifacts computed, in processes that outlive
one another as the commands' own do. `tests/readers.py` has those that need none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError, WorkerError
from edgecls.system.extras import require
from edgecls.system.worker import Worker
from readers import Reader, artifact_makers

_TIMEOUT_S = 120.0
_HERE = Path(__file__).parent


class _Desk:
    """A worker that loads one file after another; a new one where a file ended it."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def call(self, function: Callable[[Path], object], path: Path) -> object:
        if self._worker is None:
            known = [str(_HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._worker = Worker({"PYTHONPATH": os.pathsep.join(known), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""})
        try:
            return self._worker.wait(self._worker.start(function, path), _TIMEOUT_S)
        except (WorkerError, TimeoutError):
            self._worker.kill()
            self._worker = None
            raise


_desk = _Desk()


def _classifier(keras: Any) -> Any:
    layers = keras.layers
    body = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 3)), *body, layers.Dense(3, activation="softmax")])


def make_keras3(folder: Path) -> Path:
    """A `.keras` of Keras 3."""
    path = folder / "m.keras"
    _classifier(require("keras")).save(path)
    return path


def make_keras2(folder: Path) -> Path:
    """An `.h5` of Keras 2."""
    path = folder / "m.h5"
    _classifier(require("tf_keras")).save(str(path))
    return path


def make_saved_model(folder: Path) -> Path:
    """The SavedModel of a Keras 2 model, with its layers."""
    path = folder / "saved"
    _classifier(require("tf_keras")).save(str(path))
    return path


def make_export(folder: Path) -> Path:
    """What Keras 3 exports: a SavedModel of a serving function alone."""
    path = folder / "exported"
    _classifier(require("keras")).export(str(path), verbose=False)
    return path


def load(path: Path) -> None:
    """What `convert`, `compress` and `inspect` do with a model first, and its answer to an image."""
    from edgecls.models import load_model

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        model = load_model(path)
        model.predict(np.zeros((1, *model.image_spec.input_shape), np.float32))


def compute(path: Path) -> None:
    """What `predict`, `bench` and verification do with an artifact."""
    from edgecls.runners import open_runner

    runner = open_runner(path)
    spec = runner.spec
    runner.predict(np.zeros((2, spec.height, spec.width, spec.channels), np.uint8))


def _loaded(path: Path) -> None:
    """A model is loaded by the command itself: a file that ends the process is a failure."""
    try:
        _desk.call(load, path)
    except WorkerError as error:
        raise RuntimeError(error.found) from error


def _computed(path: Path) -> None:
    """An artifact is computed in a process of its own, whose end is one line."""
    try:
        _desk.call(compute, path)
    except WorkerError as error:
        raise ArtifactError("a file that its engine survives", error.found, "copy it again") from error


def _made(function: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = _desk.call(function, folder)
        assert isinstance(path, Path)
        return path

    return make


NATIVE_READERS = [
    Reader("Keras 2 `.h5`, loaded", _made(make_keras2), _loaded),
    Reader("Keras 3 `.keras`, loaded", _made(make_keras3), _loaded),
    Reader("Keras 2 SavedModel, loaded", _made(make_saved_model), _loaded),
    Reader("exported SavedModel, loaded", _made(make_export), _loaded),
    *(Reader(f"{name}, computed", make, _computed) for name, make in artifact_makers().items()),
]
