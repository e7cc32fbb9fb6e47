"""TFLite files by LiteRT, on the CPU with its default delegate (XNNPACK)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError, UnsupportedOperationError
from edgecls.formats.tflite.declared import read_declared
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.border import (
    NOTHING_DECLARED,
    Quantization,
    computing,
    output_kind,
    read_input,
    read_output,
    require_heads,
    require_single,
)
from edgecls.runners.delegation import delegation

_UNSUPPORTED = ("custom op", "Select TensorFlow op", "Didn't find op", "Op builtin_code out of range")


class TFLiteRunner:
    """A .tflite file, opened.

    Args:
        delegates: whether LiteRT applies the delegate it applies by default.

    Integer inputs and outputs are quantized and dequantized with the tensors' own parameters.

    Raises:
        ArtifactError: damaged, or no image classifier.
        UnsupportedOperationError: it holds an operation this LiteRT does not have.
    """

    stand_in = ""

    def __init__(
        self, path: Path, spec: ImageSpec | None, record: ArtifactMetadata | None, threads: int, delegates: bool = True
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES

        try:
            interpreter = Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=resolver)
            sources = interpreter.get_input_details()
            require_single(path, "input", [detail["name"] for detail in sources])
            source = sources[0]
            declared = NOTHING_DECLARED if record else read_declared(path)
            self._input = read_input(
                path, _free(source), given=spec, record=record, quantization=_quantization(source), declared=declared
            )
            if tuple(source["shape"]) != (1, *self._input.shape):
                interpreter.resize_tensor_input(source["index"], (1, *self._input.shape), strict=False)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _translate(path, error) from None
        with computing(path, RuntimeError):
            targets = interpreter.get_output_details()
        require_heads(path, record, [detail["name"] for detail in targets])
        self._path, self._results = path, [_Result.of(path, detail) for detail in targets]
        self.spec = self._input.spec
        self.outputs = self._results[0].outputs
        self.labels = declared.labels if len(declared.labels) == self.outputs else ()
        self.output_kind: OutputKind = output_kind(path, record, self.outputs)
        self._interpreter = interpreter
        self._input_index = source["index"]
        with computing(path):
            self._values = np.empty((1, *self._input.shape), np.float32)
        self._quantization, self._input_dtype = _quantization(source), np.dtype(source["dtype"])
        self.invoke = interpreter.invoke  # the engine's own call, nothing around it

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs], one image at a time as on a phone."""
        return self._computed(images, self._results[:1])[0]

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head."""
        return self._computed(images, self._results)

    def _computed(self, images: np.ndarray, results: list[_Result]) -> list[np.ndarray]:
        with computing(self._path, RuntimeError):
            return self._predict(images, results)

    def _predict(self, images: np.ndarray, results: list[_Result]) -> list[np.ndarray]:
        heads = [np.empty((len(images), result.outputs), np.float32) for result in results]

        def read(index: int) -> None:
            for scores, result in zip(heads, results, strict=True):
                scores[index] = result.read(self._interpreter)

        if self._input.batch == 1:
            for index in range(len(images)):
                self.prepare(images[index : index + 1])
                self._interpreter.invoke()
                read(index)
            return heads
        for start in range(0, len(images), self._input.batch):  # small images: preprocessing several at a time saves calls
            for offset, values in enumerate(self._feed(images[start : start + self._input.batch])):
                self._interpreter.set_tensor(self._input_index, values[None])
                self._interpreter.invoke()
                read(start + offset)
        return heads

    def prepare(self, image: np.ndarray) -> None:
        """Put images [N, H, W, C], as many as the batch, into the input tensor."""
        if self._input_dtype == np.float32:
            # Not into a view of the engine's memory: it refuses to run while one lives, and a profiler's thread, as a Dask worker has,
            # keeps the frames it looks at, and all that is local to them, for a moment longer.
            self._input.feed_into(image, self._values)
            self._interpreter.set_tensor(self._input_index, self._values)
        else:
            self._interpreter.set_tensor(self._input_index, self._feed(image))

    def set_batch(self, batch: int) -> int:
        """Resize the input; a file whose operations are made for one image stays at one."""
        if self._resize(batch):
            return batch
        self._resize(1)
        return 1

    def engine(self) -> Engine:
        """LiteRT, and what the delegate took over of the graph that was really allocated."""
        return delegation(self._interpreter)

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the allocated graph, with the delegate's behind them, as LiteRT describes them."""
        return self._interpreter._get_ops_details()

    def _resize(self, batch: int) -> bool:
        """Whether the graph takes so many images."""
        try:
            self._interpreter.resize_tensor_input(self._input_index, (batch, *self._input.shape), strict=False)
            self._interpreter.allocate_tensors()
            self._interpreter.invoke()
        except (ValueError, RuntimeError):  # LiteRT's own words for shapes that do not fit
            return False
        self._values = np.empty((batch, *self._input.shape), np.float32)
        target = self._interpreter.get_output_details()[0]
        return tuple(int(size) for size in target["shape"]) == (batch, self.outputs)

    def _feed(self, images: np.ndarray) -> np.ndarray:
        values = self._input.feed(images)
        if self._quantization is not None:
            return self._quantization.quantize(values)
        return values if self._input_dtype == np.float32 else _cast(values, self._input_dtype)


@dataclass(frozen=True)
class _Result:
    """An output tensor with a vector of scores."""

    index: int
    outputs: int
    quantization: Quantization | None

    @classmethod
    def of(cls, path: Path, detail: dict[str, Any]) -> _Result:
        return cls(detail["index"], read_output(path, [int(size) for size in detail["shape"][1:]]), _quantization(detail))

    def read(self, interpreter: Any) -> np.ndarray:
        """Scores [outputs] of the last inference, float32."""
        stored = interpreter.get_tensor(self.index).reshape(self.outputs)
        return stored if self.quantization is None else self.quantization.dequantize(stored)


def _free(detail: dict[str, Any]) -> list[int | None]:
    """The input's shape behind the batch, None where any size fits."""
    signature = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    return [None if size < 0 else int(size) for size in signature[1:]]


def _quantization(detail: dict[str, Any]) -> Quantization | None:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    return Quantization(scale, zero_point, dtype) if dtype.kind in "iu" and scale else None


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(values).astype(dtype) if dtype.kind in "iu" else values.astype(dtype)


def _translate(path: Path, error: Exception) -> ArtifactError:
    message = " ".join(str(error).split())
    if any(sign in message for sign in _UNSUPPORTED):
        return UnsupportedOperationError("operations this LiteRT has", f"{path}: {message}", "convert without that operation")
    return ArtifactError("a sound TFLite file", f"{path}: {message}", "it is damaged or cut short: copy or convert it again")
