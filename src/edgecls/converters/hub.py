"""Hub: the float32 TFLite model of a conversion and what is derived from it, for all formats."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, assert_never

from edgecls.converters.conversion import Conversion
from edgecls.errors import SchemeError, StageError
from edgecls.records.artifact import Scheme
from edgecls.system.memory import release_memory

if TYPE_CHECKING:
    import onnx

    from edgecls.converters.coreml.int8 import SharedInt8
    from edgecls.formats.tflite.graph import TFLiteGraph
    from edgecls.quantization.int8 import Quantized
    from edgecls.quantization.mixed_precision import Found
    from edgecls.quantization.parameters import Parameters


class Hub:
    """Each part is made once, when a job first needs it."""

    def __init__(self, conversion: Conversion) -> None:
        self.conversion, self._spec = conversion, conversion.record.image_spec

    def content(self, target: Literal["tflite", "onnx"], scheme: Scheme) -> bytes:
        """The bytes of an artifact that is one file."""
        match target:
            case "tflite":
                return self._tflite_file(scheme)
            case "onnx":
                return self._onnx_file(scheme)
            case _:
                assert_never(target)

    def _tflite_file(self, scheme: Scheme) -> bytes:
        from edgecls.converters.tflite.metadata import write_tflite
        from edgecls.quantization.reduced import reduce_tflite

        record = self.conversion.record
        if scheme == "float32":
            return write_tflite(self.tflite, record)
        if scheme == "int8":
            return write_tflite(self.tflite_int8, record)
        if scheme in ("float16", "dynamic"):
            return write_tflite(reduce_tflite(self.float_graph, scheme), record)
        raise _unplanned("tflite", scheme)

    def _onnx_file(self, scheme: Scheme) -> bytes:
        from edgecls.converters.onnx.convert import float16_onnx, stamp
        from edgecls.converters.onnx.input import with_layout_of
        from edgecls.converters.onnx.qdq import SIGNED_WEIGHTS

        record = with_layout_of(self.conversion.record, self.conversion.onnx_layout)
        if scheme == "float32":
            return stamp(self.asked_onnx, record)
        if scheme == "float16":
            return stamp(float16_onnx(self.asked_onnx), record)
        if scheme == "int8":
            signed = self.conversion.onnx_weights == "int8"
            return stamp(self.qdq, record, {"processors": SIGNED_WEIGHTS} if signed else {})
        raise _unplanned("onnx", scheme)

    def shared_int8(self) -> SharedInt8:
        """What Core ML takes over from the quantization."""
        from edgecls.converters.coreml.equalized import scaled_kernels
        from edgecls.converters.coreml.int8 import share_int8
        from edgecls.quantization.parameters import read_parameters
        from edgecls.quantization.tensors import Tensors

        quantized, names = self.quantized, Tensors(self.float_graph).values_in(self.onnx)
        shared = share_int8(self._spec, self.onnx, names, self.parameters, self.conversion.threads)
        if not quantized.factors or quantized.as_given is None:
            return shared
        as_given = read_parameters(quantized.as_given(quantized.float_layers))
        return replace(shared, scaled=scaled_kernels(self.float_graph, quantized.factors), as_given=as_given)

    @cached_property
    def tflite(self) -> bytes:
        from edgecls.converters.tflite.convert import float_tflite
        from edgecls.converters.tflite.metadata import add_signature

        model = add_signature(float_tflite(self.conversion.graph), self.conversion.record.heads)
        release_memory()
        return model

    @cached_property
    def float_graph(self) -> TFLiteGraph:
        """The float32 TFLite model taken apart; passes change copies of it."""
        from edgecls.formats.tflite.graph import TFLiteGraph

        return TFLiteGraph(self.tflite)

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        from edgecls.converters.onnx.convert import float_onnx

        model = float_onnx(self.float_graph)
        release_memory()
        return model

    @cached_property
    def asked_onnx(self) -> onnx.ModelProto:
        """The same with the input that was asked for."""
        return self._as_asked(self.onnx)

    def _as_asked(self, model: onnx.ModelProto) -> onnx.ModelProto:
        from edgecls.converters.onnx.input import with_input

        return with_input(model, self.conversion.record.image_spec, self.conversion.onnx_layout, self.conversion.onnx_batch)

    @property
    def quantized(self) -> Quantized:
        """The int8 model that ships, its layers chosen."""
        return self.search.quantized if self.search else self.calibrated

    @cached_property
    def tflite_int8(self) -> bytes:
        """The int8 file without its metadata."""
        return self._with_border(self.quantized)

    def _with_border(self, quantized: Quantized) -> bytes:
        """The TFLite file with the border that was asked for, which no other format takes over."""
        from edgecls.converters.tflite.uint8_border import take_uint8

        if self.conversion.io == "float32":
            return quantized.model
        model = quantized.with_int8_border(quantized.float_layers)
        return take_uint8(model, self._spec) if self.conversion.io == "uint8" else model

    @cached_property
    def _searched(self) -> Found | StageError | None:
        from edgecls.quantization.mixed_precision import keep_fewest

        if self.conversion.goal is None:
            return None
        try:
            return keep_fewest(self.float_graph, self.calibrated, self.conversion.goal, self._with_border)
        except StageError as failure:  # kept, so that the next int8 file does not search for what is not there again
            return failure

    @property
    def search(self) -> Found | None:
        """Which layers the accuracy goal makes stay float; None without a goal.

        Raises:
            StageError: it cannot be reached.
        """
        if isinstance(self._searched, StageError):
            raise self._searched
        return self._searched

    @cached_property
    def calibrated(self) -> Quantized:
        from edgecls.quantization.int8 import quantize
        from edgecls.quantization.learned import UnlearnedError, quantize_learned

        conversion, calibration, remark = self.conversion, self.conversion.calibration, ""
        settings: dict[str, Any] = {"float_layers": self.float_layers}
        if conversion.learned is not None:
            try:
                return quantize_learned(self.float_graph, conversion.learned, **settings)
            except UnlearnedError as error:
                if calibration is None:
                    raise
                remark = f"; not the learned ones, of which there is {error.found}"
        if calibration is None:
            raise StageError("calibration images for int8", "none", "plan jobs with plan_jobs, which refuses this")
        settings |= {"estimator": calibration.estimator, "effort": calibration.effort, "threads": conversion.threads}
        quantized = quantize(self.float_graph, self.onnx, calibration.batches, **settings)
        return replace(quantized, remark=remark)

    @cached_property
    def float_layers(self) -> frozenset[str]:
        from edgecls.converters.output_layers import output_layers
        from edgecls.quantization.float_layers import layer_names, resolve_layers

        asked, graph = self.conversion.keep_float, self.conversion.graph
        return resolve_layers(asked, layer_names(self.float_graph), output_layers(graph)) if asked else frozenset()

    @cached_property
    def qdq(self) -> onnx.ModelProto:
        from edgecls.converters.onnx.qdq import emit_qdq

        signed = self.conversion.onnx_weights == "int8"
        return emit_qdq(self._rounded_onnx, self.parameters, self.quantized.float_layers, signed_weights=signed)

    @property
    def _rounded_onnx(self) -> onnx.ModelProto:
        """The float model that the int8 files round, with the input that was asked for."""
        from edgecls.converters.onnx.convert import float_onnx
        from edgecls.quantization.equalization import equalized

        factors = self.quantized.factors
        return self._as_asked(float_onnx(equalized(self.float_graph, factors))) if factors else self.asked_onnx

    @cached_property
    def parameters(self) -> Parameters:
        from edgecls.quantization.parameters import read_parameters

        return read_parameters(self.quantized.model)


def _unplanned(target: str, scheme: Scheme) -> SchemeError:
    return SchemeError(f"a scheme of {target}", scheme, "plan jobs with plan_jobs, which refuses this")
