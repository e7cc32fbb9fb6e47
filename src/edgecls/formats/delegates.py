"""Which operations of a file accelerators would not take, as far as their published lists tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_never

import numpy as np
from pydantic import BaseModel, ConfigDict

from edgecls.errors import InputError
from edgecls.formats import delegate_lists as lists
from edgecls.formats.coreml.read import Package, open_package
from edgecls.formats.coreml.value import known_dtype
from edgecls.formats.delegate_checks import CHECKS
from edgecls.formats.delegate_lists import TFLITE_DELEGATES, DelegateList
from edgecls.formats.files import detect
from edgecls.formats.reading import DamagedError, damaged
from edgecls.formats.tflite.operations import StoredOperation, read_operations
from edgecls.records.artifact import Manifest, Target

_NOT_COMPUTED = {"cast", "classify", "const"}  # of ML programs: at the border of the program, or nothing to compute
_LISTED: tuple[Target, ...] = ("tflite", "coreml")  # formats whose accelerators have a list of what they take
_EXPECTED = "a .tflite or .mlpackage for --delegates"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LeftOut(_Model):
    """An operation that an accelerator would not take, and why."""

    operation: str
    name: str
    reason: str


class Delegate(_Model):
    """What one accelerator would make of a file.

    Attributes:
        source: where its list is published.
        certainty: how far the list is to be trusted.
        operations: how many the file has, those left out included.
    """

    name: str
    source: str
    certainty: str
    operations: int
    left_out: list[LeftOut]


class Delegates(_Model):
    """What the accelerators of its format would make of a file."""

    file: str
    delegates: list[Delegate]


class FolderDelegates(_Model):
    """The same of every file of a folder of artifacts for which there are such lists."""

    files: list[Delegates]


def folder_delegates(folder: Path) -> FolderDelegates:
    """What the accelerators of their formats would make of the TFLite files and Core ML packages of a folder of artifacts.

    Raises:
        ArtifactError: no folder of artifacts, or one of them is missing or damaged.
        InputError: it has none of these formats.
        MissingExtraError: as `delegates`.
    """
    rows = Manifest.read(folder).artifacts
    files = [folder / row.path for row in rows if row.status == "ok" and row.target in _LISTED]
    if not files:
        found = ", ".join(row.name for row in rows) or "nothing"
        raise InputError(
            "TFLite or Core ML artifacts for --delegates", f"{found} in {folder}", "convert with --targets tflite,coreml"
        )
    return FolderDelegates(files=[delegates(path) for path in files])


def delegates(path: Path) -> Delegates:
    """What the accelerators of its format would make of a .tflite or .mlpackage.

    Raises:
        ArtifactError: missing or damaged.
        InputError: an .onnx or a .savedmodel, for which there are no such lists.
        MissingExtraError: an .mlpackage without the extra `convert`.
    """
    target = detect(path)
    match target:
        case "tflite":
            operations = [operation for operation in read_operations(path) if not operation.unpacks_constants]
            return Delegates(file=path.name, delegates=[_judge(delegate, operations) for delegate in TFLITE_DELEGATES])
        case "coreml":
            return Delegates(file=path.name, delegates=[_neural_engine(path)])
        case "onnx":
            raise InputError(
                _EXPECTED,
                f"{path}: ONNX Runtime's NNAPI and CoreML providers choose while they open a file",
                "ask its own tool: python -m onnxruntime.tools.check_onnx_model_mobile_usability FILE",
            )
        case "saved_model":
            raise InputError(_EXPECTED, f"{path}, a SavedModel for services", "name the artifact for phones beside it")
        case _:
            assert_never(target)


def _judge(delegate: DelegateList, operations: list[StoredOperation]) -> Delegate:
    left = [(operation, reason) for operation in operations if (reason := _refusal(delegate, operation))]
    return Delegate(
        name=delegate.name,
        source=delegate.source,
        certainty=delegate.certainty,
        operations=len(operations),
        left_out=[LeftOut(operation=operation.kind, name=operation.name, reason=reason) for operation, reason in left],
    )


def _refusal(delegate: DelegateList, operation: StoredOperation) -> str:
    """Why a delegate does not take an operation; empty where it does."""
    rule = delegate.rules.get(operation.kind)
    if rule is None:
        return "not in its list"
    if operation.dtype not in rule.dtypes:
        return f"takes {', '.join(sorted(rule.dtypes))}, not {operation.dtype}"
    if rule.version is not None and operation.version > rule.version:
        return f"takes it up to version {rule.version}, this is version {operation.version}"
    if not delegate.dynamic and _is_dynamic(operation):
        return "takes no float operation with int8 weights"
    return next((f"takes it only with {check}" for check in rule.checks if not CHECKS[check](operation)), "")


def _is_dynamic(operation: StoredOperation) -> bool:
    weights = operation.inputs[1] if len(operation.inputs) > 1 else None
    return operation.dtype == "float32" and weights is not None and weights.is_constant and weights.dtype in ("int8", "int4")


def _neural_engine(path: Path) -> Delegate:
    package = open_package(path)
    computing = [
        item for item in package.block.operations if item.type not in _NOT_COMPUTED and not item.type.startswith("constexpr_")
    ]
    try:
        left = [(item, reason) for item in computing if (reason := _left_by_neural_engine(package, item))]
    except DamagedError as error:
        raise damaged(path, "coreml", error) from None
    return Delegate(
        name="Neural Engine",
        source=lists.NEURAL_ENGINE_SOURCE,
        certainty=lists.NEURAL_ENGINE_CERTAINTY,
        operations=len(computing),
        left_out=[LeftOut(operation=item.type, name=item.outputs[0].name, reason=reason) for item, reason in left],
    )


def _left_by_neural_engine(package: Package, operation: Any) -> str:
    if operation.type in lists.NEURAL_ENGINE_LEFT:
        return lists.NEURAL_ENGINE_LEFT[operation.type]
    if any(dilation != 1 for dilation in _dilations(package, operation)):
        return lists.NEURAL_ENGINE_DILATED
    made = operation.outputs[0].type
    is_float32 = made.WhichOneof("type") == "tensorType" and known_dtype(made.tensorType.dataType) == "float32"
    return lists.NEURAL_ENGINE_FLOAT32 if is_float32 else ""


def _dilations(package: Package, operation: Any) -> list[int]:
    if "dilations" not in operation.inputs or not operation.inputs["dilations"].arguments:
        return []
    binding = operation.inputs["dilations"].arguments[0]
    makers = (item for item in package.block.operations if item.type == "const" and item.outputs[0].name == binding.name)
    value = binding.value if binding.WhichOneof("binding") == "value" else next((item.attributes["val"] for item in makers), None)
    sizes = None if value is None else package.values.read(value)
    return sizes.reshape(-1).tolist() if isinstance(sizes, np.ndarray) else []
