"""An ML program as an ONNX graph, operation by operation from the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.coreml_reference.block import MainFunction, Operation, Tensor
from edgecls.coreml_reference.call import Call, Entry, Values
from edgecls.coreml_reference.graph import Graph, computed
from edgecls.coreml_reference.operations import OPERATIONS
from edgecls.errors import UnsupportedOperationError
from edgecls.formats.reading import DamagedError

CLASSIFY = "classify"
BATCH = "images"


@dataclass(frozen=True)
class Translation:
    """A program in ONNX.

    Attributes:
        model: a serialized ModelProto without its weights.
        weights: initializer -> values.
        any_batch: whether it takes any number of images at a time.
        pools: whether windows of values are pooled.
    """

    model: bytes
    weights: dict[str, np.ndarray]
    any_batch: bool
    pools: bool


class _SingleImageError(Exception):
    """The program mixes the images' axis with others: it can be run image by image alone."""


def translate(main: MainFunction, outputs: Sequence[str], path: Path) -> Translation:
    """Translate what the outputs need.

    Args:
        outputs: names of MIL values.
        path: the package, for errors.

    Raises:
        UnsupportedOperationError: an operation, or a way to use it, that the table does not have.
        DamagedError: an operation that is not sound.
    """
    needed = _needed(main, outputs)
    if all(tensor.shape[:1] == (1,) for tensor in main.inputs):
        try:
            return _translate(main, needed, outputs, path, any_batch=True)
        except _SingleImageError:
            pass
    return _translate(main, needed, outputs, path, any_batch=False)


def find_unsupported(main: MainFunction, path: Path) -> None:
    """Refuse operations and parameters that the table does not have, before any weight is read.

    Raises:
        UnsupportedOperationError: the first one.
    """
    for operation in main.operations:
        if operation.type != CLASSIFY:
            _entry(operation, path)


def _needed(main: MainFunction, outputs: Sequence[str]) -> list[Operation]:
    """The operations that the outputs depend on, in order."""
    wanted, needed = set(outputs), []
    for operation in reversed(main.operations):
        if wanted.isdisjoint(tensor.name for tensor in operation.outputs):
            continue
        needed.append(operation)
        for argument in operation.arguments.values():
            items = argument if isinstance(argument, list) else [argument]
            wanted.update(item.name for item in items if isinstance(item, Tensor))
    return needed[::-1]


def _translate(
    main: MainFunction, operations: Sequence[Operation], outputs: Sequence[str], path: Path, *, any_batch: bool
) -> Translation:
    graph, values = Graph(), Values()
    for tensor in main.inputs:
        values.names[tensor.name] = tensor.name
    if any_batch:
        values.per_image.update(tensor.name for tensor in main.inputs)
    for name, constant in main.constants.items():
        values.names[name] = graph.constant(computed(np.asarray(constant.read())))
    for operation in operations:
        _add(Call(operation, graph, values, path), values, path)
    if any_batch and not values.per_image.issuperset(outputs):
        raise _SingleImageError
    inputs: list[tuple[Tensor, list[Any]]] = []
    for tensor in main.inputs:
        free = [f"{tensor.name}_{axis}" if size is None else size for axis, size in enumerate(tensor.shape)]
        inputs.append((tensor, [BATCH, *free[1:]] if any_batch else free))
    model = graph.serialize(inputs, {f"output_{index}": values.names[name] for index, name in enumerate(outputs)})
    return Translation(model, graph.weights, any_batch, graph.pools)


def _add(call: Call, values: Values, path: Path) -> None:
    """Add one operation's nodes."""
    operation = call.operation
    if operation.type == CLASSIFY:
        probabilities = operation.arguments.get("probabilities")
        if not isinstance(probabilities, Tensor):
            raise DamagedError(f"operation {operation.name[:80]!r} classifies nothing that is computed")
        names, keeps = [values.names[probabilities.name]] * len(operation.outputs), probabilities.name in values.per_image
    else:
        found = _entry(operation, path)
        if call.per_image() and not found.keeps_images(call):
            raise _SingleImageError
        keeps = bool(call.per_image())
        translated = found.translate(call)
        names = [translated] if isinstance(translated, str) else translated
    if len(names) < len(operation.outputs):
        raise DamagedError(f"operation {operation.name[:80]!r} has {len(operation.outputs)} outputs")
    for tensor, name in zip(operation.outputs, names, strict=False):
        values.names[tensor.name] = name
        if keeps:
            values.per_image.add(tensor.name)
    if operation.type == "dequantize":
        values.dequantized.add(operation.name)


def _entry(operation: Operation, path: Path) -> Entry:
    found = OPERATIONS.get(operation.type)
    unknown = sorted(operation.arguments.keys() - found.parameters) if found else []
    if found is None or unknown or operation.has_blocks:
        what = f"with the parameter {unknown[0][:40]!r}" if unknown else ""
        raise UnsupportedOperationError(
            "operations that the Core ML reference computes",
            f"{path}: operation {operation.name[:80]!r}: {operation.type[:60]} {what}".rstrip(),
            "run the package on macOS, or convert the model without that operation",
        )
    return found
