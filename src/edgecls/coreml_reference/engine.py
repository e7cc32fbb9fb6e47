"""ONNX Runtime with a translated program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecls.coreml_reference.translation import Translation
from edgecls.errors import ArtifactError, UnsupportedOperationError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}
# int8 products are summed without saturating on processors whose 8-bit multiplication would
EXACT_INT8 = ("session.x64quantprecision", "1")
# It moves a padding with zeros into a convolution, which then takes a sixth less of a MobileNet's time, but also into a max pooling that
# pads with minus infinity: wrong where values are negative.
_WRONG_WITH_POOLING = ["Pad_Fusion"]

# its refusals do not tell whose fault they are: the file's, the translation's or its own
_EITHER = "run the package on macOS; if Core ML refuses it too, it is damaged: copy it or convert it again"


class Session:
    """A program in the engine.

    The weights are used where they lie: they are held here as long as the engine is, and once more inside it, laid out for speed.
    """

    def __init__(self, session: Any, weights: list[Any], path: Path, any_batch: bool) -> None:
        self._session, self._weights, self._path, self.any_batch = session, weights, path, any_batch
        self._dtypes = {source.name: _DTYPES[source.type] for source in session.get_inputs()}

    def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, in order.

        Raises:
            ArtifactError: the computation fails.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        typed = {name: feeds[name].astype(dtype, copy=False) for name, dtype in self._dtypes.items()}
        try:
            return self._session.run(None, typed)
        except (state.Fail, state.InvalidArgument, state.RuntimeException) as error:
            raise ArtifactError("a program that computes", f"{self._path}: {_one_line(error)}", _EITHER) from None


def open_session(translation: Translation, path: Path, threads: int) -> Session:
    """Hand a translated program to the engine.

    Raises:
        UnsupportedOperationError: the engine lacks an operation for these dtypes, or finds that shapes or dtypes do not fit.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry(*EXACT_INT8)
    weights = [onnxruntime.OrtValue.ortvalue_from_numpy(values) for values in translation.weights.values()]
    if weights:
        options.add_external_initializers(list(translation.weights), weights)
    refusals = (state.Fail, state.InvalidGraph, state.InvalidArgument, state.RuntimeException, state.InvalidProtobuf)
    try:
        session = onnxruntime.InferenceSession(
            translation.model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_WRONG_WITH_POOLING if translation.pools else [],
        )
    except state.NotImplemented as error:
        raise UnsupportedOperationError(
            "operations that the Core ML reference computes", f"{path}: {_one_line(error)}", "run the package on macOS"
        ) from None
    except refusals as error:
        raise UnsupportedOperationError(
            "a program that the Core ML reference computes", f"{path}: {_one_line(error)}", _EITHER
        ) from None
    return Session(session, weights, path, translation.any_batch)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).removeprefix("[ONNXRuntimeError] : ").split())[:300]
