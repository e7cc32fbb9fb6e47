"""What `edgecls inspect` shows of a file."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from edgecls.formats import FileDescription, Layer, TensorInfo
from edgecls.records.image_spec import ImageSpec
from edgecls.reporting.grid import Column, make_grid
from edgecls.reporting.table import to_table
from edgecls.reporting.units import format_bytes, format_parts, format_share

_NAME_LENGTH = 40
_TENSOR_COLUMNS = [
    Column[tuple[str, TensorInfo]]("", lambda row: row[0]),
    Column[tuple[str, TensorInfo]]("name", lambda row: row[1].name),
    Column[tuple[str, TensorInfo]]("shape", lambda row: format_shape(row[1].shape)),
    Column[tuple[str, TensorInfo]]("dtype", lambda row: row[1].dtype),
]


def description_tables(description: FileDescription, width: int | None = None) -> list[RenderableType]:
    """Heading, inputs and outputs, operations, the layers with their share of the size, and the metadata."""
    tensors = [("input", tensor) for tensor in description.inputs] + [("output", tensor) for tensor in description.outputs]
    return [
        Text(_heading(description)),
        to_table(make_grid(_TENSOR_COLUMNS, tensors, lambda _: True), width),
        *(Text(line) for line in _summary(description)),
        to_table(make_grid(_layer_columns(description.layers), description.layers, lambda _: True), width),
        *(Text(f"{key}: {' '.join(value.split())}") for key, value in description.metadata.items()),
    ]


def format_shape(shape: Sequence[int | None]) -> str:
    """`1 × 224 × 224 × 3`; an axis of any length is `?`."""
    return " × ".join("?" if axis is None else str(axis) for axis in shape) or "scalar"


def _heading(description: FileDescription) -> str:
    weights = sum(description.actual.weight_dtypes.values())
    return f"{description.format}, {format_bytes(description.size_bytes)}, {weights:,} weights"


def _summary(description: FileDescription) -> list[str]:
    actual = description.actual
    operations = sorted(actual.operations.items(), key=lambda entry: (-entry[1], entry[0]))
    lines = {
        "weights": format_parts(actual.weight_dtypes),
        "activations": format_parts(actual.activation_dtypes),
        "sparsity": format_share(actual.sparsity),
        "operations": ", ".join(f"{count} {name}" for name, count in operations),
        "runs on": actual.minimum_deployment_target and f"{actual.minimum_deployment_target} and later",
        "stayed float": "; ".join(f"{entry.operation} {entry.name} ({entry.reason})" for entry in actual.stayed_float),
        "answers": _clipping(description.clipped_operations),
        "labels": description.record and _labels(description.record.labels),
        "preprocessing": description.record and _preprocessing(description.record.image_spec),
        "pictures": description.record and description.record.image_spec.resizing_words,
    }
    return [f"{name}: {text}" for name, text in lines.items() if text]


def _clipping(operations: Sequence[str]) -> str:
    if not operations:
        return ""
    return (
        f"differ on x86-64 processors without VNNI, which clip sums of uint8 × int8 products: {len(operations)} operations from "
        f"{operations[0]} on have weights large enough; session.x64quantprecision=1 or uint8 weights avoid it"
    )


def _labels(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:10])
    return f"{len(labels)}: {shown}{', …' if len(labels) > 10 else ''}"


def _preprocessing(spec: ImageSpec) -> str:
    shifted = "pixel" if spec.mean == (0.0,) else f"(pixel - {_values(spec.mean)})"
    formula = "pixels as they are" if spec.mean == (0.0,) and spec.std == (1.0,) else f"{shifted} / {_values(spec.std)}"
    return f"{formula}, {spec.color_order}, {spec.height} × {spec.width} ({spec.provenance}) {spec.note}".rstrip()


def _values(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else "[" + ", ".join(f"{value:g}" for value in values) + "]"


def _shortened(name: str) -> str:
    """The end of a name tells layers apart; of operations that were fused the first is named."""
    first, _, others = name.partition(";")
    shown = first if len(first) <= _NAME_LENGTH else "…" + first[1 - _NAME_LENGTH :]
    return f"{shown} +{others.count(';') + 1}" if others else shown


def _layer_columns(layers: Sequence[Layer]) -> list[Column[Layer]]:
    total = sum(layer.size_bytes for layer in layers) or 1
    return [
        Column[Layer]("layer", lambda row: _shortened(row.name)),
        Column[Layer]("operation", lambda row: row.operation, rank=2),
        Column[Layer]("weights", lambda row: f"{row.elements:,}", numeric=True),
        Column[Layer]("dtype", lambda row: row.dtype, rank=1),
        Column[Layer]("size", lambda row: format_bytes(row.size_bytes), numeric=True),
        Column[Layer]("share", lambda row: f"{row.size_bytes / total:.1%}", numeric=True, rank=1),
        Column[Layer]("sparsity", lambda row: f"{row.sparsity:.1%}", numeric=True, rank=3),
    ]
