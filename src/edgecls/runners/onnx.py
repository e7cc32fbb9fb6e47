"""ONNX files by ONNX Runtime, on the CPU."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError, UnsupportedOperationError
from edgecls.records.artifact import OutputKind
from edgecls.records.engine import Engine
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from edgecls.runners.border import Quantization, computing, output_kind, read_input, read_output, require_heads, require_single

_DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int32)": np.dtype(np.int32),
}
_UNSUPPORTED = ("NOT_IMPLEMENTED", "is not a registered function/op", "No Op registered", "is under development")


class OnnxRunner:
    """An .onnx file, opened: one thread pool of `threads`, operations one after another.

    Args:
        profile_prefix: where the engine's profiler writes, which times every operation; empty for no profile.
        exact: sum int8 products without clipping on processors that would.

    Raises:
        ArtifactError: damaged, or no image classifier.
        UnsupportedOperationError: it holds an operation this ONNX Runtime does not have.
    """

    labels: tuple[str, ...] = ()
    stand_in = ""

    def __init__(
        self,
        path: Path,
        spec: ImageSpec | None,
        record: ArtifactMetadata | None,
        threads: int,
        profile_prefix: str = "",
        *,
        exact: bool = False,
    ) -> None:
        session = _open_session(path, threads, profile_prefix, exact)
        sources, targets = _border(session, path)
        require_single(path, "input", [source.name for source in sources])
        require_heads(path, record, [target.name for target in targets])
        source = sources[0]
        if source.type not in _DTYPES:
            raise ArtifactError("an input of numbers", f"{path} with {source.type}", "name a classifier of images")
        dtype = _DTYPES[source.type]
        plain = Quantization(1.0, 0, dtype) if dtype.kind in "iu" else None
        self._input = read_input(path, _free(source.shape[1:]), given=spec, record=record, quantization=plain)
        self._fixed = source.shape[0] if isinstance(source.shape[0], int) else None
        self._batch = self._fixed or self._input.batch
        self.spec = self._input.spec
        self._lengths = [read_output(path, _free(target.shape[1:])) for target in targets]
        self.outputs = self._lengths[0]
        self.output_kind: OutputKind = output_kind(path, record, self.outputs)
        self._session, self._name, self._dtype, self._plain = session, source.name, dtype, plain
        self._names, self._path = [target.name for target in targets], path
        self._outputs = self._names[:1]
        with computing(path):
            self.prepare(np.zeros((1, self.spec.height, self.spec.width, self.spec.channels), np.uint8))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pixels [N, H, W, C] to float32 scores [N, outputs], in batches where the file takes several at once."""
        return self._predict(images, self._outputs)[0]

    def predict_heads(self, images: np.ndarray) -> list[np.ndarray]:
        """The same of every head."""
        return self._predict(images, self._names)

    def _predict(self, images: np.ndarray, names: list[str]) -> list[np.ndarray]:
        with computing(self._path, *_failures()):
            heads = [np.empty((len(images), length), np.float32) for length in self._lengths[: len(names)]]
            for start in range(0, len(images), self._batch):
                part = images[start : start + self._batch]
                for scores, found in zip(heads, self._session.run(names, self._feed(part)), strict=True):
                    values = np.asarray(found, np.float32).reshape(-1, scores.shape[1])
                    scores[start : start + len(part)] = values[: len(part)]
        return heads

    def prepare(self, image: np.ndarray) -> None:
        """Keep images [N, H, W, C] ready as the session's input."""
        self.invoke = functools.partial(
            self._session.run, self._outputs, self._feed(image)
        )  # the engine's own call, nothing around it

    def set_batch(self, batch: int) -> int:
        """Any number where the batch axis is free, else the number that the file takes."""
        return self._fixed or batch

    def engine(self) -> Engine:
        """The execution providers of the session, in the order in which it offers them operations."""
        import onnxruntime

        providers = self._session.get_providers()
        note = f"takes {self._fixed} images at once: latency is that of all of them" if (self._fixed or 1) > 1 else ""
        return Engine(
            name="ONNX Runtime", version=onnxruntime.__version__, delegate=", ".join(providers), verified=True, note=note
        )

    def end_profiling(self) -> str:
        """The profile's file; no more is added to it."""
        return self._session.end_profiling()

    def _feed(self, images: np.ndarray) -> dict[str, np.ndarray]:
        missing = (self._fixed or 0) - len(images)
        values = self._input.feed(
            np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]) if missing > 0 else images
        )
        stored = values.astype(self._dtype, copy=False) if self._plain is None else self._plain.quantize(values)
        return {self._name: stored}


def _open_session(path: Path, threads: int, profile_prefix: str, exact: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if exact:
        from edgecls.coreml_reference.engine import EXACT_INT8  # here, so that other files need not wait for the reference

        options.add_session_config_entry(*EXACT_INT8)
    if profile_prefix:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        message = " ".join(str(error).removeprefix("[ONNXRuntimeError] : ").split())[:300]
        if any(sign in message for sign in _UNSUPPORTED):
            raise UnsupportedOperationError(
                "operations this ONNX Runtime has", f"{path}: {message}", "convert without that operation, or for an older opset"
            ) from None
        raise _damaged(path, message) from None


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises, which has no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (
        state.EPFail,
        state.EngineError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )
    return (*kinds, UnicodeDecodeError)


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError("a sound ONNX file", f"{path}: {reason}", "it is damaged or cut short: copy or convert it again")


def _border(session: Any, path: Path) -> tuple[list[Any], list[Any]]:
    """What the session takes and gives."""
    try:
        sources, targets = session.get_inputs(), session.get_outputs()
        for tensor in (*sources, *targets):
            _ = (tensor.name, tensor.type, tensor.shape)  # texts, turned into Python's when they are asked for
    except UnicodeDecodeError:
        raise _damaged(path, "a name that is no UTF-8") from None
    return sources, targets


def _free(shape: list[Any]) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in shape]
