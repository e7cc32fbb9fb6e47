"""A Core ML package, opened for execution without Core ML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgecls.coreml_reference.block import Tensor, read_main_function
from edgecls.coreml_reference.engine import Session, open_session
from edgecls.coreml_reference.translation import CLASSIFY, find_unsupported, translate
from edgecls.errors import ArtifactError
from edgecls.formats.coreml.read import class_labels, features, image_color, open_package
from edgecls.formats.reading import DamagedError, damaged

_CACHED_BYTES, _MOST_IMAGES = 512 << 10, 8
HALF_NOTE = "computed in float32 from float16 weights: a reference of the program, not of the Neural Engine"


@dataclass(frozen=True)
class Input:
    """One input of a package.

    Attributes:
        shape: of the program's value for one image, [1, C, H, W] for an image.
        color: `RGB`, `BGR` or `GRAY` for an image, whose pixels are given [N, H, W, C] in RGB order (or grey), 0..255; None for an array.
    """

    name: str
    shape: tuple[int | None, ...]
    color: Literal["RGB", "BGR", "GRAY"] | None = None


class Program:
    """An ML program that can be run. See `open_program`.

    Attributes:
        path: the package.
        inputs: what it takes.
        outputs: the names of what it gives.
        labels: of a classifier, its class labels in the order of the scores; empty otherwise.
        scores: of a classifier, the name of the output that holds the probabilities; None otherwise.
        values: every value that the program computes, in order, with dtype and shape.
        note: how the computation differs from a device's; empty where it does not.
    """

    def __init__(self, path: Path, threads: int) -> None:
        try:
            package = open_package(path)
            self._main = read_main_function(package)
            self.labels = class_labels(package)
            self.inputs = tuple(_input(package.spec, tensor) for tensor in self._main.inputs)
        except DamagedError as error:
            raise damaged(path, "coreml", error) from None
        find_unsupported(self._main, path)
        self.path, self.outputs = path, self._main.outputs
        last = self._main.operations[-1] if self._main.operations else None
        self._classify = last if last is not None and last.type == CLASSIFY else None
        self.scores = self._classify.outputs[-1].name if self._classify and len(self._classify.outputs) > 1 else None
        self.values = tuple(tensor for operation in self._main.operations for tensor in operation.outputs)
        self.note = HALF_NOTE if any(tensor.dtype == "float16" for tensor in self.values) else ""
        self._threads = threads
        self._opened: tuple[tuple[str, ...], Session] | None = None

    def run(self, inputs: np.ndarray | Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Run the program on images.

        Args:
            inputs: of the only input, or by name. An image input takes pixels [N, H, W, C], 0..255, RGB or grey, rounded to 8 bits as
                Core ML does; the package's own colour order, scale and bias are applied here. An array input takes [N, ...]: its
                shape without the first axis where that has size 1, else all of it behind N.
            outputs: names of values; any that the program computes may be asked for. None for the package's own outputs.

        Returns:
            For each name an array [N, ...], float16 values as float32: a first axis of size 1 counts the images, any other shape is
            kept behind a new one. The scores of a classifier are [N, classes], its label is an array of texts [N]. Ask for other
            outputs in few different sets: the engine is opened anew for each.

        Raises:
            ArtifactError: an output that the program does not compute, images of another size, or a computation that fails.
            UnsupportedOperationError: an operation that cannot be computed here.
        """
        names = self.outputs if outputs is None else tuple(dict.fromkeys(outputs))
        parts = list(self.stream(inputs, names))
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def stream(
        self, inputs: np.ndarray | Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """What `run` gives, a few images at a time, so that not all of it is held at once."""
        names = self.outputs if outputs is None else tuple(dict.fromkeys(outputs))
        session = self._session(names)
        given = self._given(inputs)
        count = min((len(values) for values in given.values()), default=1)
        step = self._step() if session.any_batch else 1
        for start in range(0, count, step):
            feeds = {source.name: _feed(source, given[source.name][start : start + step]) for source in self.inputs}
            yield self._answers(names, session.run(feeds), min(step, count - start))

    def _given(self, inputs: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if isinstance(inputs, np.ndarray):
            inputs = {source.name: inputs for source in self.inputs[:1]}
        expected = {source.name for source in self.inputs}
        if set(inputs) != expected:
            raise ArtifactError(
                f"values for the inputs {', '.join(sorted(expected))}",
                ", ".join(sorted(inputs)) or "none",
                "name each input once",
            )
        for source in self.inputs:
            _check_shape(self.path, source, inputs[source.name])
        return dict(inputs)

    def _step(self) -> int:
        """How many images to run at a time: their values stay in the processor's cache."""
        sizes = [int(np.prod([size or 1 for size in source.shape])) * 4 for source in self.inputs]
        return max(1, min(_MOST_IMAGES, _CACHED_BYTES // max(sizes, default=1)))

    def _session(self, names: tuple[str, ...]) -> Session:
        """The engine for these outputs; only the last one is kept, for each holds the weights."""
        if self._opened is None or self._opened[0] != names:
            self._opened = None
            known = {*(tensor.name for tensor in (*self._main.inputs, *self.values)), *self._main.constants}
            if unknown := [name for name in names if name not in known]:
                raise ArtifactError("a value that the program computes", f"{self.path}: {unknown[0][:80]!r}", "ask for another")
            try:
                translation = translate(self._main, names, self.path)
            except DamagedError as error:
                raise damaged(self.path, "coreml", error) from None
            self._opened = names, open_session(translation, self.path, self._threads)
        return self._opened[1]

    def _answers(self, names: tuple[str, ...], found: list[np.ndarray], images: int) -> dict[str, np.ndarray]:
        return {name: self._answer(name, values, images) for name, values in zip(names, found, strict=True)}

    def _answer(self, name: str, values: np.ndarray, images: int) -> np.ndarray:
        made = self._classify.outputs if self._classify else ()
        if name in {tensor.name for tensor in made}:
            scores = values.reshape(images, -1)
            return scores if name == self.scores else np.asarray(self.labels)[scores.argmax(axis=1)]
        return values if values.ndim and len(values) == images else values[None]


def open_program(path: Path, *, threads: int = 1) -> Program:
    """Open a Core ML package (`.mlpackage`) to run its ML program here, on any platform, by ONNX Runtime.

    The program is translated operation by operation; each is checked for parameters that the translation does not know. Compressed
    weights are decompressed as coremltools does; int8 activations are computed in int8; float16 is computed in float32 from the
    weights as they are stored, which `note` says.

    Args:
        path: the package.
        threads: threads of one inference.

    Raises:
        ArtifactError: missing, damaged, no ML program, or newer than what this version knows.
        UnsupportedOperationError: an operation that the translation does not have; the error names it.
        MissingExtraError: coremltools, whose message definitions are used, is not installed.
    """
    return Program(path, threads)


def _input(spec: Any, tensor: Tensor) -> Input:
    feature = next((feature for feature in features(spec, "input") if feature.name == tensor.name), None)
    if feature is None:
        raise DamagedError(f"its description lacks the input {tensor.name[:80]!r}")
    if feature.type.WhichOneof("Type") != "imageType":
        return Input(tensor.name, tensor.shape)
    color = image_color(feature.type.imageType)
    channels = 1 if color == "GRAY" else 3
    if color == "OTHER" or len(tensor.shape) != 4 or tensor.shape[:2] != (1, channels):
        raise DamagedError(f"its input {tensor.name[:80]!r} is an image of {color}, its program takes {tensor.shape}")
    return Input(tensor.name, tensor.shape, color)  # type: ignore[arg-type]


def _check_shape(path: Path, source: Input, values: np.ndarray) -> None:
    shape = source.shape[1:] if source.shape[:1] == (1,) else source.shape
    if source.color is not None:
        shape = (*shape[1:], shape[0])
    fits = values.ndim == len(shape) + 1 and all(want in (None, have) for want, have in zip(shape, values.shape[1:], strict=True))
    if not fits or not len(values):
        expected = " x ".join("any" if size is None else str(size) for size in shape)
        raise ArtifactError(
            f"images of {expected} for the input {source.name!r}",
            f"{path}: {list(values.shape)}",
            "give as many as you like of that size",
        )


def _feed(source: Input, values: np.ndarray) -> np.ndarray:
    """Images as the program takes them."""
    if source.color is not None:
        pixels = values if values.dtype == np.uint8 else np.clip(np.rint(values), 0, 255)
        ordered = pixels[..., ::-1] if source.color == "BGR" else pixels
        return np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
    return values if source.shape[:1] == (1,) else values[0]
