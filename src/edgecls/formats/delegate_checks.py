"""Conditions that delegates make on a TFLite operation, by the words that people read: "only with 3 or 4 axes"."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgecls.formats.tflite.operations import Operand, StoredOperation

_NEW_AXES, _DROPPED_AXES, _ELLIPSIS = 3, 4, 2  # fields of StridedSliceOptions
_MODE = 0  # field of MirrorPadOptions: 0 reflects


def _others(operation: StoredOperation) -> list[Operand]:
    return [operand for operand in operation.inputs[1:] if operand is not None]


def _first(operation: StoredOperation) -> Operand | None:
    return operation.inputs[0] if operation.inputs else None


def _axes(operation: StoredOperation) -> int:
    first = _first(operation)
    return 0 if first is None else len(first.shape)


def _option(operation: StoredOperation, field: int, code: str = "i") -> int:
    return 0 if operation.options is None else operation.options.scalar(field, code)


def _integers(operation: StoredOperation, place: int) -> list[int] | None:
    operand = operation.inputs[place] if place < len(operation.inputs) else None
    return None if operand is None else operand.integers


def _has_bias(operation: StoredOperation) -> bool:
    return len(operation.inputs) > 2 and operation.inputs[2] is not None


def _has_constant_weights(operation: StoredOperation) -> bool:
    weights = operation.inputs[1] if len(operation.inputs) > 1 else None
    return weights is not None and weights.is_constant


def _is_spatial_mean(operation: StoredOperation) -> bool:
    axes = _integers(operation, 1)
    return _axes(operation) == 4 and axes is not None and {axis % 4 for axis in axes} in ({1, 2}, {2})


def _gathers_along_one_axis(operation: StoredOperation) -> bool:
    indices = operation.inputs[1] if len(operation.inputs) > 1 else None
    return indices is not None and len(indices.shape) == 1 and indices.dtype == "int32"


CHECKS: Mapping[str, Callable[[StoredOperation], bool]] = {
    "a bias": _has_bias,
    "constant weights": _has_constant_weights,
    "constant shapes, axes and sizes": lambda operation: all(operand.is_constant for operand in _others(operation)),
    "4 axes": lambda operation: _axes(operation) == 4,
    "3 or 4 axes": lambda operation: _axes(operation) in (3, 4),
    "at most 4 axes": lambda operation: all(
        len(operand.shape) <= 4 for operand in (*operation.inputs, *operation.outputs) if operand is not None
    ),
    "no axis added or dropped": lambda operation: (
        not any(_option(operation, field) for field in (_ELLIPSIS, _NEW_AXES, _DROPPED_AXES))
    ),
    "steps of 1": lambda operation: set(_integers(operation, 3) or [0]) == {1},
    "reflected edges": lambda operation: _option(operation, _MODE, "b") == 0,
    "paddings of 3 or 4 axes": lambda operation: bool(_others(operation)) and _others(operation)[0].shape in ((3, 2), (4, 2)),
    "indices of int32 along one axis": _gathers_along_one_axis,
    "the mean over height and width": _is_spatial_mean,
    "2 to 4 inputs": lambda operation: 2 <= len(operation.inputs) <= 4,
    "2 to 4 outputs": lambda operation: 2 <= len(operation.outputs) <= 4,
}
