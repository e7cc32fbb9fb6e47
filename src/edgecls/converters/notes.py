"""Notes: what is worth telling about artifacts beside their rows."""

from __future__ import annotations

from edgecls.converters.conversion import ONNX_INT8, TFLITE_INT8, artifact_path
from edgecls.converters.hub import Hub
from edgecls.converters.support import Job
from edgecls.quantization.scales import is_float16
from edgecls.records.counted import counted

_SHOWN = 4  # tensors that a note names
_COREML_INT8 = Job("coreml", "int8")


class Notes:
    """Tells of the artifacts of a conversion; what concerns several of them, with the first that is made."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._told = hub, set[str]()

    def of(self, job: Job) -> list[str]:
        """What is worth telling about an artifact that was made."""
        hub = self._hub
        return [
            *(_search(hub) if job.scheme == "int8" and self._is_first("search") else ()),
            *_TELLERS.get(job, lambda hub: [])(hub),
            *(_input(hub) if job.target == "onnx" and self._is_first("input") else ()),
        ]

    def details_of(self, job: Job) -> list[str]:
        """How an artifact was made, and which tool does not take it."""
        hub = self._hub
        return [
            *(note for note in (_mediapipe(job, hub) if job.target == "tflite" else ()) if self._is_first(note)),
            *([hub.calibrated.origin] if job.scheme == "int8" and self._is_first("calibration") else ()),
        ]

    def _is_first(self, about: str) -> bool:
        is_first = about not in self._told
        self._told.add(about)
        return is_first


def _mediapipe(job: Job, hub: Hub) -> list[str]:
    from edgecls.converters.tflite.metadata import mediapipe_refusal

    record = hub.conversion.record
    refusal = mediapipe_refusal(record.image_spec, hub.conversion.requested(job).io, len(record.heads) or 1)
    return [f"not for MediaPipe Tasks' ImageClassifier: {refusal}"] if refusal and job.target == "tflite" else []


def _narrow(hub: Hub) -> list[str]:
    """Which tensors Core ML leaves float because float16, its dtype of scales, does not hold theirs."""
    from edgecls.quantization.float_layers import layer_names, short_name

    layers = layer_names(hub.float_graph)
    scales = {short_name(name, layers): float(affine.scale[0]) for name, affine in hub.parameters.activations.items()}
    found = [f"{name} ({scale:.2g})" for name, scale in scales.items() if not is_float16(scale)]
    shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    return [f"{counted(len(found), 'tensor')} stayed float: float16 does not hold their scale: {shown}"] if found else []


def _unequalized(hub: Hub) -> list[str]:
    """That a Core ML file has other codes than the others: it could not have its channels at one height."""
    from edgecls.converters.coreml.int8 import UNEQUALIZED
    from edgecls.formats.coreml.read import open_package

    if not hub.quantized.factors:
        return []
    why = open_package(artifact_path(hub.conversion, _COREML_INT8)).spec.description.metadata.userDefined.get(UNEQUALIZED, "")
    return [f"its channels are not brought to one height, as those of TFLite and ONNX are: {why}"] if why else []


def _signed(hub: Hub) -> list[str]:
    from edgecls.converters.onnx.qdq import SIGNED_WEIGHTS

    return [SIGNED_WEIGHTS] if hub.conversion.onnx_weights == "int8" else []


def _border(hub: Hub) -> list[str]:
    from edgecls.converters.tflite.uint8_border import describe_border

    return [describe_border(hub.tflite_int8, hub.conversion.record.image_spec)] if hub.conversion.io == "uint8" else []


def _input(hub: Hub) -> list[str]:
    """How many images ONNX files take at a time where that is not free, and their axes where they are not the model's."""
    from edgecls.converters.onnx.input import about_input

    conversion = hub.conversion
    return about_input(hub.onnx, conversion.record.image_spec, conversion.onnx_layout, conversion.onnx_batch)


def _search(hub: Hub) -> list[str]:
    """Which layers mixed precision left float, and what that came to."""
    from edgecls.quantization.float_layers import layer_names

    goal, found = hub.conversion.goal, hub.search
    return [found.told(goal, layer_names(hub.float_graph))] if goal and found else []


_TELLERS = {_COREML_INT8: lambda hub: [*_narrow(hub), *_unequalized(hub)], ONNX_INT8: _signed, TFLITE_INT8: _border}
