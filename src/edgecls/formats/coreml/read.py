"""What is in an .mlpackage that holds an ML program: the program, its weights, and what apps read of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.errors import ArtifactError
from edgecls.formats.coreml.activations import Activations, taken
from edgecls.formats.coreml.layout import PackageFiles, locate
from edgecls.formats.coreml.message import parse_model
from edgecls.formats.coreml.value import ValueReader, dtype_of
from edgecls.formats.coreml.weights import FLOATS, constant_weight, parameters, read_weights
from edgecls.formats.description import FileDescription, Layer, TensorInfo
from edgecls.formats.embedded_record import parse_record
from edgecls.formats.files import members
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.weights import Weight, distinct_values_of, elements_by_dtype, layer_of, sparsity_of
from edgecls.records.artifact import Actual, FloatRemainder
from edgecls.records.metadata import METADATA_KEY

# How the operations that preprocess the input are named: <input> and one of these. The first two are coremltools' own names for the
# scale and bias of an image input, the others edgecls's for what one scale for all channels cannot do.
SCALED, BIASED, CHANNEL_SCALED, CHANNEL_BIASED = "__scaled__", "__biased__", "__scaled_per_channel__", "__biased_per_channel__"
SPECIFICATIONS = {6: "iOS15", 7: "iOS16", 8: "iOS17", 9: "iOS18", 10: "iOS26"}  # those that have ML programs
_KINDS = {
    "neuralNetwork": "a neural network, Core ML's format before ML programs",
    "neuralNetworkClassifier": "a neural network classifier, Core ML's format before ML programs",
    "neuralNetworkRegressor": "a neural network regressor, Core ML's format before ML programs",
}
_IMAGE_COLORS = {10: "GRAY", 20: "RGB", 30: "BGR", 40: "GRAY"}
_IMAGE_CHANNELS = {"GRAY": 1, "RGB": 3, "BGR": 3}
_ARRAY_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}
WEIGHTED = {"conv", "conv_transpose", "linear", "matmul", "einsum"}
_SMALL = 2048  # weights; coremltools compresses only constants of more values unless told otherwise
_SHOWN = 2000  # longest metadata value, in characters


@dataclass
class Package:
    """A package that was read.

    Attributes:
        spec: its `Model` message.
        function: its main function.
        block: the operations of that function.
        values: reads the constants.
        constants: name -> the weight that a `const` or `constexpr_*` operation makes.
    """

    files: PackageFiles
    spec: Any
    function: Any
    block: Any
    values: ValueReader
    constants: dict[str, Weight] = field(default_factory=dict)

    def float_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, values) of every float constant of one axis or more, the scales of compressed ones included."""
        for operation in self.block.operations:
            if operation.type != "const" and not operation.type.startswith("constexpr_"):
                continue
            for value in parameters(operation).values():
                weight = constant_weight(self.values, value) if dtype_of(value) in FLOATS else None
                if weight is not None and weight.values is not None:
                    yield operation.outputs[0].name, weight.values


def open_package(path: Path) -> Package:
    """Read a package: the message, the program and the headers of its weights.

    Raises:
        ArtifactError: missing, damaged, no ML program, or newer than what this version knows.
        MissingExtraError: coremltools is not installed.
    """
    from google.protobuf.message import DecodeError

    try:
        files = locate(path)
        spec = parse_model(mapped(files.model))
        _check_kind(path, spec)
        package = Package(files, spec, *_main_block(spec), ValueReader(files))
        package.constants.update(read_weights(package.values, package.block.operations))
    except (DecodeError, DamagedError) as error:
        raise damaged(path, "coreml", error) from None
    return package


def describe_mlpackage(path: Path) -> FileDescription:
    """Everything about an .mlpackage.

    Raises:
        ArtifactError: missing, damaged, no ML program, or newer than what this version knows.
        MissingExtraError: coremltools is not installed.
    """
    package = open_package(path)
    description = package.spec.description
    layers = _layers(package)
    record = description.metadata.userDefined.get(METADATA_KEY)
    return FileDescription(
        format=f"Core ML ML program, specification {package.spec.specificationVersion}",
        inputs=[_feature(feature) for feature in features(package.spec, "input")],
        outputs=[_feature(feature, class_labels(package)) for feature in features(package.spec, "output")],
        actual=_actual(package, layers),
        layers=[layer for layer, _ in layers],
        metadata=_texts(package),
        record=None if record is None else parse_record(record, path),
        size_bytes=sum(item.stat().st_size for item in members(path)),
    )


def class_labels(package: Package) -> list[str]:
    """The labels of the program's `classify` operation in the order of the scores; none where it has no such operation."""
    last = package.block.operations[-1]
    if last.type != "classify":
        return []
    values = last.inputs["classes"].arguments[0].value.immediateValue.list.values
    tensors = [value.immediateValue.tensor for value in values]
    return [tensor.strings.values[0] if tensor.strings.values else str(tensor.longInts.values[0]) for tensor in tensors]


def preprocessing(package: Package) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias, one or one per channel, that the program applies to its input: value = pixel * scale + bias."""
    scale, bias = np.ones(1), np.zeros(1)
    for operation in _computing(package):
        if not _is_preprocessing(package, operation):
            continue
        constants = [_float_constant(package, name) for name in taken(operation)]
        factor = next(constant for constant in constants if constant is not None)
        scale, bias = (scale * factor, bias * factor) if operation.type == "mul" else (scale, bias + factor)
    return scale, bias


def _float_constant(package: Package, name: str) -> np.ndarray | None:
    """The values of a float constant, flat; None where `name` is no such constant."""
    if name in package.constants:
        values = package.constants[name].values
        return None if values is None else values.reshape(-1).astype(np.float64)
    for operation in package.block.operations:
        if operation.type == "const" and operation.outputs[0].name == name:
            return np.asarray(operation.attributes["val"].immediateValue.tensor.floats.values, np.float64)
    return None


def _check_kind(path: Path, spec: Any) -> None:
    kind = spec.WhichOneof("Type")
    if kind is None:
        raise DamagedError("its model message holds no model")
    if kind != "mlProgram":
        raise ArtifactError(
            "an .mlpackage that holds an ML program",
            f"{path}: {_KINDS.get(kind, kind)}",
            "convert the source model anew with `edgecls convert --targets coreml`",
        )
    if spec.specificationVersion > max(SPECIFICATIONS):
        raise ArtifactError(
            f"a Core ML specification up to {max(SPECIFICATIONS)} ({SPECIFICATIONS[max(SPECIFICATIONS)]})",
            f"{path}: {spec.specificationVersion}",
            "install a newer edgecls, or convert with an older minimum deployment target",
        )


def _main_block(spec: Any) -> tuple[Any, Any]:
    functions = spec.mlProgram.functions
    name = spec.description.defaultFunctionName or "main"
    if name not in functions:
        raise DamagedError(f"its program has no function {name!r}")
    function = functions[name]
    if function.opset not in function.block_specializations:
        raise DamagedError(f"function {name!r} has no block for its operation set {function.opset[:40]!r}")
    block = function.block_specializations[function.opset]
    if not block.operations or not block.outputs:
        raise DamagedError(f"function {name!r} is empty")
    _check_connections(function, block)
    return function, block


def _check_connections(function: Any, block: Any) -> None:
    """Every value an operation takes is made before it."""
    known = {value.name for value in function.inputs}
    for operation in block.operations:
        if not operation.outputs:
            raise DamagedError(f"an operation {operation.type[:40]!r} without outputs")
        for argument in operation.inputs.values():
            missing = [binding.name for binding in argument.arguments if binding.name and binding.name not in known]
            if missing and not operation.blocks:
                raise DamagedError(f"operation {operation.outputs[0].name[:80]!r} takes {missing[0][:80]!r}, which nothing makes")
        known.update(value.name for value in operation.outputs)
    if missing := [name for name in block.outputs if name not in known]:
        raise DamagedError(f"nothing makes its output {missing[0][:80]!r}")


def features(spec: Any, side: str) -> list[Any]:
    """Inputs or outputs; a package of several functions lists them per function."""
    description = spec.description
    chosen = [item for item in description.functions if item.name == (description.defaultFunctionName or "main")]
    return list(getattr(chosen[0] if chosen else description, side))


def _feature(feature: Any, labels: list[str] | None = None) -> TensorInfo:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        image = feature.type.imageType
        return TensorInfo(
            name=feature.name, shape=[1, image.height, image.width, _IMAGE_CHANNELS.get(image_color(image), 0)], dtype="uint8"
        )
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        return TensorInfo(
            name=feature.name, shape=list(array.shape), dtype=_ARRAY_DTYPES.get(array.dataType, str(array.dataType))
        )
    if kind == "dictionaryType":
        return TensorInfo(name=feature.name, shape=[len(labels)] if labels else [None], dtype="float32")
    return TensorInfo(name=feature.name, shape=[], dtype=(kind or "none").removesuffix("Type"))


def image_color(image: Any) -> str:
    return _IMAGE_COLORS.get(image.colorSpace, "OTHER")


def _layers(package: Package) -> list[tuple[Layer, list[Weight]]]:
    """Operations that carry weights. A constant that several share is counted at the first."""
    found, seen = [], set()
    for operation in _computing(package):
        names = [name for name in taken(operation) if name in package.constants and name not in seen]
        if names and not _is_preprocessing(package, operation):
            seen.update(names)
            weights = [package.constants[name] for name in names]
            found.append((layer_of(operation.outputs[0].name, operation.type, weights), weights))
    return found


def _computing(package: Package) -> list[Any]:
    return [item for item in package.block.operations if item.type != "const" and not item.type.startswith("constexpr_")]


def _is_preprocessing(package: Package, operation: Any) -> bool:
    """Whether an operation only turns pixels into what the model was trained on."""
    suffixes = (SCALED, BIASED, CHANNEL_SCALED, CHANNEL_BIASED)
    name = operation.outputs[0].name
    return any(name == f"{feature.name}{suffix}" for feature in features(package.spec, "input") for suffix in suffixes)


def _actual(package: Package, layers: list[tuple[Layer, list[Weight]]]) -> Actual:
    weights = [weight for _, found in layers for weight in found]
    inputs, outputs = features(package.spec, "input"), features(package.spec, "output")
    if not outputs:
        raise DamagedError("its description names no outputs")
    predicted = package.spec.description.predictedProbabilitiesName
    scores = next((output for output in outputs if output.name == predicted), outputs[0])
    return Actual(
        weight_dtypes=elements_by_dtype(weights),
        activation_dtypes=Activations(_computing(package)).dtypes(),
        operations=dict(Counter(item.type for item in package.block.operations if item.type != "const")),
        stayed_float=_stayed_float(package),
        sparsity=sparsity_of(weights),
        distinct_values=distinct_values_of(layers),
        input_dtype=_feature(inputs[0]).dtype if inputs else "none",
        output_dtype=_feature(scores).dtype,
        minimum_deployment_target=SPECIFICATIONS.get(package.spec.specificationVersion),
    )


def _stayed_float(package: Package) -> list[FloatRemainder]:
    """In a program with compressed weights, the operations whose weights are not; in one with quantized values, those without."""
    if all(weight.dtype in FLOATS for weight in package.constants.values()):
        return []
    activations = Activations([item for item in _computing(package) if not _is_preprocessing(package, item)])
    remainders: dict[str, FloatRemainder] = {}
    for operation in _computing(package):
        kernels = [package.constants[name] for name in taken(operation) if name in package.constants]
        kernels = [kernel for kernel in kernels if kernel.rank > 1]
        if operation.type in WEIGHTED and kernels and all(kernel.dtype in FLOATS for kernel in kernels):
            name, reason = operation.outputs[0].name, f"its weights are stored as {kernels[0].dtype}"
            if not activations.are_quantized and kernels[0].elements <= _SMALL:
                reason += f": packing only {kernels[0].elements} saves little or nothing"
            remainders[name] = FloatRemainder(operation=operation.type, name=name, reason=reason)
    if activations.are_quantized:
        remainders |= {entry.name: entry for entry in activations.stayed_float() if entry.name not in remainders}
    return list(remainders.values())


def _texts(package: Package) -> dict[str, str]:
    metadata = package.spec.description.metadata
    images = [item.type.imageType for item in features(package.spec, "input") if item.type.WhichOneof("Type") == "imageType"]
    texts = {
        "description": metadata.shortDescription,
        "version": metadata.versionString,
        "author": metadata.author,
        "license": metadata.license,
        "color_layout": image_color(images[0]) if images else "",
        "labels": ", ".join(class_labels(package)),
        **{key: value for key, value in sorted(metadata.userDefined.items()) if key != METADATA_KEY},
    }
    return {name: text[:_SHOWN] for name, text in texts.items() if text}
