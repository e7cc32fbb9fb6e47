"""What TFLite Metadata, whoever wrote it, says of a classifier: how pixels enter it, and what its classes are called."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecls.errors import ArtifactError
from edgecls.formats.reading import DamagedError, damaged, mapped
from edgecls.formats.tflite import flatbuffer
from edgecls.formats.tflite import schema as tflite_schema
from edgecls.formats.tflite.flatbuffer import Bytes, Table
from edgecls.formats.tflite.schema import METADATA_BUFFER, ModelMetadata, SubGraphMetadata, TensorMetadata
from edgecls.system.archive_errors import ZIP_ERRORS

# enumerations and unions of metadata_schema.fbs
_NORMALIZATION_OPTIONS = 1
_TENSOR_AXIS_LABELS = 2


@dataclass(frozen=True)
class Declared:
    """What a file declares; what it leaves open is empty.

    Attributes:
        mean, std: in pixel units, one value or one per channel: model input = (pixel - mean) / std.
        labels: one per score.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


def read_declared(path: Path) -> Declared:
    """Read the metadata of a .tflite with one input and one output; nothing is declared where it has none.

    Raises:
        ArtifactError: missing or damaged, or a normalization that cannot be applied.
    """
    data = mapped(path)
    try:
        found = _declared(data, path)
    except DamagedError as error:
        raise damaged(path, "tflite", error) from None
    if len(found.mean) != len(found.std) or not all(found.std):
        raise ArtifactError(
            "a normalization of as many means as stds, none of them 0",
            f"{path} with mean {list(found.mean)} and std {list(found.std)} in its metadata",
            "write its TFLite Metadata anew",
        )
    return found


def _declared(data: Bytes, path: Path) -> Declared:
    content = tflite_schema.metadata(data, tflite_schema.open_model(data)).get(METADATA_BUFFER)
    if content is None:
        return Declared()
    subgraphs = flatbuffer.root(content).tables(ModelMetadata.SUBGRAPHS)[:1]
    inputs = [tensor for graph in subgraphs for tensor in graph.tables(SubGraphMetadata.INPUTS)]
    outputs = [tensor for graph in subgraphs for tensor in graph.tables(SubGraphMetadata.OUTPUTS)]
    mean, std = next(_normalizations(inputs[0]), ((), ())) if len(inputs) == 1 else ((), ())
    return Declared(mean, std, _labels(path, outputs[0]) if len(outputs) == 1 else ())


def _normalizations(tensor: Table) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    for unit in tensor.tables(TensorMetadata.PROCESS_UNITS):
        options = unit.table(1)
        if unit.scalar(0, "B") == _NORMALIZATION_OPTIONS and options is not None:
            mean, std = (tuple(float(value) for value in options.array(field, "f4")) for field in (0, 1))
            yield mean, std


def _labels(path: Path, tensor: Table) -> tuple[str, ...]:
    """The lines of the file of labels in the archive behind the model; of several, that without a language."""
    files = [file for file in tensor.tables(TensorMetadata.ASSOCIATED_FILES) if file.scalar(2, "B") == _TENSOR_AXIS_LABELS]
    files.sort(key=lambda file: file.text(3))  # its locale
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.read(files[0].text(0)).decode("utf-8", "replace").splitlines()) if files else ()
    except ZIP_ERRORS:
        return ()  # no such archive, or not a sound one: `inspect` says that the file is missing
