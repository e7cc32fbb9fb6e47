"""AppContract and GoldenSet: `edgecls.json` and `golden.json`, which `edgecls embed` puts into an app beside the artifacts."""

from __future__ import annotations

from typing import Literal

from edgecls.records.amounts import Bytes
from edgecls.records.artifact import OutputKind, Scheme, Target
from edgecls.records.codes import Codes
from edgecls.records.image_spec import ImageSpec
from edgecls.records.record import FileRecord, Record
from edgecls.system.store import PlainName, PlainPath

CONTRACT_NAME, GOLDEN_NAME = "edgecls.json", "golden.json"


class Border(Record):
    """What goes into an artifact, or comes out of it.

    Attributes:
        shape: of one image, batch axis first.
        quantization: of integers that stand for real numbers; None where they do not, or where it is float.
        kind: Core ML alone: whether it takes a picture or an array.
    """

    name: str
    dtype: str
    shape: list[int]
    quantization: Codes | None = None
    kind: Literal["image", "multiarray"] | None = None


class EmbeddedArtifact(Record):
    """One artifact in an app.

    Attributes:
        file: in the folder of the contract.
        size_bytes, compressed_bytes, sha256: as in the manifest.
    """

    name: str
    file: PlainName
    target: Target
    scheme: Scheme
    size_bytes: Bytes
    compressed_bytes: Bytes
    sha256: str
    input: Border
    output: Border


class AppContract(FileRecord):
    """`edgecls.json`: what an app must know to use the artifacts beside it.

    Attributes:
        model: file or folder of the model they were made from.
        labels: name of each class, in the order of the scores. Where the model gives one score they are two: below its threshold, above.
        golden: file of the golden set beside it; None where there is none.
    """

    kind = "a contract of an app"
    remedy = "run `edgecls embed` again"

    schema_version: int = FileRecord.versions[-1]
    model: str
    edgecls_version: str
    source_sha256: str
    labels: list[str]
    output_kind: OutputKind
    image_spec: ImageSpec
    artifacts: list[EmbeddedArtifact]
    golden: PlainName | None = None


class GoldenImage(Record):
    """One picture, and what must become of it.

    Attributes:
        file: the picture.
        pixels: a PNG of the exact pixels that must enter the model, in RGB or grey (before `color_order`).
        decoding: `lossless` pictures give these pixels everywhere; those of a JPEG are at most 2 levels apart, on average less than 0.1.
        scores: artifact -> its scores on the host.
    """

    name: str
    file: PlainPath
    pixels: PlainPath
    decoding: Literal["lossless", "jpeg"]
    scores: dict[str, list[float]]


class GoldenSet(FileRecord):
    """`golden.json`: pictures, the pixels that they become, and the scores of each artifact."""

    kind = "a golden set"
    remedy = "run `edgecls embed` again"

    schema_version: int = FileRecord.versions[-1]
    images: list[GoldenImage]
