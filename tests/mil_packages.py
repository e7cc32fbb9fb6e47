"""Small ML programs built with coremltools' own builder, saved as packages, and what coremltools says they compute."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.coreml_reference import Program, open_program
from edgecls.extras import require
from edgecls.formats.mlpackage_layout import WEIGHTS_NAME, write_package

_ARRAYS = {"float32": 65568, "float16": 65552, "int32": 131104}


def types_of(dtype: str) -> Any:
    """coremltools' type of a dtype."""
    from coremltools.converters.mil.mil import types

    return {"float32": types.fp32, "float16": types.fp16, "int32": types.int32, "bool": types.bool}[dtype]


def build(build_block: Callable[..., Any], inputs: Mapping[str, tuple[tuple[int, ...], str]], opset: str = "iOS17") -> Any:
    """A MIL program.

    Args:
        build_block: given the inputs by name, returns the outputs.
        inputs: name -> (shape, dtype).
        opset: the deployment target, which chooses the operations' versions.
    """
    ct: Any = require("coremltools")
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import Function, Program

    target = ct.target[opset]
    program = Program()
    placeholders = {
        name: mb.placeholder(shape, dtype=types_of(dtype))  # type: ignore[arg-type]
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
            feature.type.multiArrayType.shape.extend(int(size) for size in value.shape)
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
    shape = tuple(int(size) for size in variable.shape)
    return values if shape[:1] == (1,) else values[0]


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
