"""Small ML programs built with coremltools' own builder, saved as packages, and what coremltools says they compute."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.coreml_reference import Program, open_program
from edgecls.formats.coreml.layout import WEIGHTS_NAME, write_package
from edgecls.system.extras import require

_ARRAYS = {"float32": 65568, "float16": 65552, "int32": 131104}


def types_of(dtype: str) -> Any:
    """coremltools' type of a dtype."""
    from coremltools.converters.mil.mil import types

    return {"float32": types.fp32, "float16": types.fp16, "int32": types.int32, "bool": types.bool}[dtype]


def build(build_block: Callable[..., Any], inputs: Mapping[str, tuple[tuple[int | None, ...], str]], opset: str = "iOS17") -> Any:
    """A MIL program.

    Args:
        build_block: given the inputs by name, returns the outputs.
        inputs: name -> (shape, dtype); a size of None is free.
        opset: the deployment target, which chooses the operations' versions.
    """
    ct: Any = require("coremltools")
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import Function, Program, get_new_symbol

    target = ct.target[opset]
    program = Program()
    placeholders = {
        name: mb.placeholder(tuple(get_new_symbol() if size is None else size for size in shape), dtype=types_of(dtype))  # type: ignore[arg-type]
        for name, (shape, dtype) in inputs.items()
    }
    with Function(placeholders, opset_version=target) as function:
        found = build_block(**function.inputs)
        function.set_outputs(list(found) if isinstance(found, tuple | list) else [found])
        program.add_function("main", function)
    return program


def write(program: Any, folder: Path, opset: str = "iOS17") -> Path:
    """Save a program, untouched by any pass, as a package of arrays."""
    ct: Any = require("coremltools")
    from coremltools.converters.mil.backend.mil.load import load as to_message

    version = int(ct.target[opset])
    function = program.functions["main"]
    description = ct.proto.Model_pb2.ModelDescription()
    for side, values in ((description.input, function.inputs.values()), (description.output, function.outputs)):
        for value in values:
            feature = side.add(name=value.name)
            feature.type.multiArrayType.shape.extend(fixed_shape(value))
            feature.type.multiArrayType.dataType = _ARRAYS["float32"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        spec = to_message(program, scratch, specification_version=version, model_description=description)
        spec.specificationVersion = version
        path = folder / "program.mlpackage"
        shutil.rmtree(path, ignore_errors=True)
        write_package(path, spec, Path(scratch) / WEIGHTS_NAME)
    return path


def computed(program: Any, inputs: Mapping[str, np.ndarray], folder: Path, opset: str = "iOS17") -> list[np.ndarray]:
    """What the reference computes for one set of inputs, the outputs in order."""
    opened: Program = open_program(write(program, folder, opset))
    given = {name: values if opened.inputs and values.shape[:1] == (1,) else values[None] for name, values in inputs.items()}
    found = opened.run(given)
    outputs = program.functions["main"].outputs
    return [_one(found[name], variable) for name, variable in zip(opened.outputs, outputs, strict=True)]


def _one(values: np.ndarray, variable: Any) -> np.ndarray:
    """The value for the only image, in the program's own shape."""
    return values if fixed_shape(variable)[:1] == (1,) else values[0]


def fixed_shape(variable: Any) -> tuple[int, ...]:
    """The shape of a value; 1 for an axis whose size is computed."""
    from coremltools.converters.mil.mil.types.symbolic import is_symbolic

    return tuple(1 if is_symbolic(size) else int(size) for size in variable.shape)


def inferred(build_block: Callable[..., Any], inputs: Mapping[str, np.ndarray], opset: str = "iOS17") -> list[np.ndarray]:
    """What coremltools itself says the same block computes: its value inference on constants."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    found: list[np.ndarray] = []

    def constants(unused: Any) -> Any:
        values = build_block(**{name: mb.const(val=value) for name, value in inputs.items()})
        for value in values if isinstance(values, tuple | list) else [values]:
            assert value.val is not None, f"coremltools infers no value of {value.op.op_type}"
            found.append(np.asarray(value.val))
        return mb.identity(x=unused)

    build(constants, {"unused": ((1,), "float32")}, opset)
    return found


def classifier(folder: Path, *, dtype: str = "float32", color: str = "RGB") -> Path:
    """A small classifier of images of 6 x 5 pixels with weights in its file: convolution, mean, matrix, softmax, `classify`."""
    ct: Any = require("coremltools")
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import mil_list

    rng = np.random.default_rng(0)
    channels = 1 if color == "GRAY" else 3
    kernel, weight = (rng.normal(size=shape).astype(dtype) for shape in ((8, channels, 3, 3), (4, 8)))

    def block(image: Any) -> Any:
        x = mb.mul(x=image, y=np.float32(1 / 255), name="image__scaled__")
        x = mb.cast(x=x, dtype="fp16" if dtype == "float16" else "fp32")
        x = mb.relu(x=mb.conv(x=x, weight=kernel, pad_type="same"), name="features")
        x = mb.linear(x=mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False), weight=weight)
        x = mb.cast(x=mb.softmax(x=x, axis=-1), dtype="fp32", name="probabilities")
        return mb.classify(probabilities=x, classes=mb.const(val=mil_list(["ant", "bee", "cow", "dog"])))

    program = build(block, {"image": ((1, channels, 6, 5), "float32")}, "iOS16")
    path = write(program, folder, "iOS16")
    message = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = ct.proto.Model_pb2.Model.FromString(message.read_bytes())
    image = spec.description.input[0].type.imageType
    image.height, image.width = 6, 5
    image.colorSpace = {"GRAY": 10, "RGB": 20, "BGR": 30}[color]
    label, scores = spec.description.output
    label.type.stringType.SetInParent()
    scores.type.dictionaryType.stringKeyType.SetInParent()
    spec.description.predictedFeatureName, spec.description.predictedProbabilitiesName = label.name, scores.name
    message.write_bytes(spec.SerializeToString())
    return path
