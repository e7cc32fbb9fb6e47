"""SavedModels of ours by TensorFlow, on the CPU."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats.saved_model.layout import IMAGES, SCORES, SERVING, version_folder
from edgecls.formats.saved_model.read import require_computing
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.border import InputTensor, computing
from edgecls.system.extras import quiet_frameworks, require


class SavedModelRunner:
    """A .savedmodel, opened: its signature `serving_default`.

    Raises:
        ArtifactError: damaged, not as `edgecls convert` wrote it, or of other images than `spec` says.
        MissingExtraError: TensorFlow is not installed.
    """

    labels: tuple[str, ...] = ()
    stand_in = ""

    def __init__(self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None, threads: int) -> None:
        folder = version_folder(path)
        if record is None:
            raise ArtifactError(
                "a SavedModel that edgecls made", f"{path} without its record", "convert it with `edgecls convert`"
            )
        require_computing(path)
        self.spec = spec or record.image_spec
        if self.spec.input_shape != record.image_spec.input_shape:
            expected = f"images of {' x '.join(map(str, record.image_spec.input_shape))}"
            raise ArtifactError(expected, f"a spec of {' x '.join(map(str, self.spec.input_shape))}", "is it another model's?")
        self.outputs = record.outputs
        self.output_kind: OutputKind = record.output_kind
        self._input, self._path = InputTensor(self.spec), path
        self._names = [SCORES, *(head.output for head in record.heads[1:])]
        self._tf = require("tensorflow")
        self._threads = _use_threads(self._tf, threads)
        try:
            with quiet_frameworks():
                self._model: Any = self._tf.saved_model.load(str(folder))
            self._run: Any = self._model.signatures[SERVING]
        except (*_failures(self._tf), OSError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ArtifactError("a sound SavedModel", f"{path}: {reason}", "copy or convert it again") from None
        with computing(path, *_failures(self._tf)):
            self.prepare(np.zeros((1, self.spec.height, self.spec.width, self.spec.channels), np.uint8))
            self.invoke()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs], some at once."""
        return self.predict_heads(images)[0]

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head."""
        size = self._input.batch
        with computing(self._path, *_failures(self._tf)):
            answers = [self._run(**self._feed(images[start : start + size])) for start in range(0, len(images), size)]
            return [np.concatenate([answer[name].numpy() for answer in answers]).astype(np.float32) for name in self._names]

    def prepare(self, image: np.ndarray) -> None:
        """Keep images [N, H, W, C] ready as a tensor."""
        self.invoke = functools.partial(self._run, **self._feed(image))  # the engine's own call, nothing around it

    def set_batch(self, batch: int) -> int:
        """Any number."""
        return batch

    def engine(self) -> Engine:
        """TensorFlow, with a note where its number of threads was settled before."""
        return Engine(name="TensorFlow", version=self._tf.__version__, delegate="CPU", note=self._threads)

    def _feed(self, images: np.ndarray) -> dict[str, Any]:
        return {IMAGES: self._tf.constant(self._input.feed(images))}


def _use_threads(tf: Any, threads: int) -> str:
    """TensorFlow settles its threads when it first computes; a note where it has done so otherwise."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            return "TensorFlow keeps the number of threads that it first computed with in a process"
    return ""


def _failures(tf: Any) -> tuple[type[Exception], ...]:
    return (tf.errors.OpError,)
