"""FileDescription: what is in an artifact or in anybody's file of one of its formats, read without a conversion framework."""

from __future__ import annotations

from pydantic import Field

from edgecls.records.artifact import Actual
from edgecls.records.codes import Codes
from edgecls.records.metadata import ArtifactMetadata
from edgecls.records.record import Record


class TensorInfo(Record):
    """An input or output. An axis of unknown length is None.

    Attributes:
        codes: of a TFLite file's integers, what they stand for.
    """

    name: str
    shape: list[int | None]
    dtype: str
    codes: Codes | None = None


class Layer(Record):
    """The constants of one operation: its weights, biases and tables.

    Attributes:
        elements: number of values in all of them.
        size_bytes: bytes they take in the file; a constant that several operations share is counted at the first.
        dtype: of the largest one.
        sparsity: share of values that are exactly zero (for integers: equal to their zero point), 0..1; biases are not counted.
    """

    name: str
    operation: str
    elements: int
    size_bytes: int
    dtype: str
    sparsity: float


class FileDescription(Record):
    """One file or package.

    Attributes:
        format: `TFLite`, `ONNX` or `Core ML` with its version.
        layers: the operations that carry constants, in order of execution.
        metadata: what the format's own ecosystem finds in the file, as text; long values are cut.
        record: what edgecls wrote into the file, None in foreign files.
        size_bytes: bytes on disk, a package's files added up.
        clipped_operations: of an ONNX file, those whose sums x86-64 processors without VNNI clip at 16 bits: such a file answers
            differently there.
    """

    format: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    actual: Actual
    layers: list[Layer]
    metadata: dict[str, str]
    record: ArtifactMetadata | None
    size_bytes: int
    clipped_operations: list[str] = Field(default_factory=list)
