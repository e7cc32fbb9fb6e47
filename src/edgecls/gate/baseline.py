"""Baseline: what later artifacts are compared with, small enough to be committed. Only what `edgecls check` compares is in it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from pydantic import Field

from edgecls.errors import GateError
from edgecls.records.artifact import Manifest
from edgecls.records.record import FileRecord, Record

BASELINE_NAME = "edgecls-baseline.json"
_NUMBERS = re.compile(r"\[\s+((?:\d+,?\s+)+)\]")


class ModelIdentity(Record):
    """Which classifier: trained again it is still the same, with another image size or other classes it is not.

    Attributes:
        name: the model file's name without suffix.
        sha256: of the model file; where it is the same, single images can be compared.
        labels_sha256: of the labels, one a line.
    """

    name: str
    sha256: str
    height: int
    width: int
    channels: int
    outputs: int
    labels_sha256: str

    @classmethod
    def of(cls, manifest: Manifest) -> ModelIdentity:
        """The classifier a manifest's artifacts were made of."""
        spec = manifest.image_spec
        return cls(
            name=Path(manifest.source.name).stem,
            sha256=manifest.source.sha256,
            height=spec.height,
            width=spec.width,
            channels=spec.channels,
            outputs=manifest.outputs,
            labels_sha256=hashlib.sha256("\n".join(manifest.labels).encode()).hexdigest(),
        )


class BaselineAccuracy(Record):
    """top1: share 0..1 of `images`; tied_images: of them, those that count by a share."""

    images: int = Field(gt=0)
    top1: float = Field(ge=0, le=1)
    tied_images: int = 0


class BaselineMultiLabel(Record):
    """mean_average_precision: share 0..1, over `images` with multi-hot labels."""

    images: int = Field(gt=0)
    mean_average_precision: float = Field(ge=0, le=1)


class BaselineFlips(Record):
    """How often the winner, or the set of predicted classes, was not the reference's.

    Attributes:
        lost, gained: indices of the images that only the reference, or only this artifact had right; None where not all are known.
    """

    reference: str
    images: int = Field(gt=0)
    count: int = Field(ge=0)
    lost: list[int] | None = None
    gained: list[int] | None = None


class BaselineArtifact(Record):
    """One artifact.

    Attributes:
        accuracy, multilabel: on images with one label each, and with multi-hot labels.
        latency_ratio: its median latency over that of `Baseline.latency_reference`, measured in the same run.
        engine: what its latency was measured with, name and version; empty where that is not known.
        layers: bytes by layer, those of 1 % of the file or more.
    """

    size_bytes: int = Field(gt=0)
    compressed_bytes: int = Field(gt=0)
    accuracy: BaselineAccuracy | None = None
    multilabel: BaselineMultiLabel | None = None
    flips: BaselineFlips | None = None
    latency_ratio: float | None = Field(default=None, gt=0)
    engine: str = ""
    layers: dict[str, int] = Field(default_factory=dict)


class Baseline(FileRecord):
    """`edgecls-baseline.json`.

    Attributes:
        latency_reference: the artifact that latencies are divided by; None without latencies.
        processor, instruction_sets: what the latencies were measured on; no sets where they are not known.
        artifacts: by name.
    """

    kind = "a baseline"
    remedy = "make it anew with `edgecls check OUT --update-baseline`"
    error = GateError

    schema_version: int = FileRecord.versions[-1]
    model: ModelIdentity
    latency_reference: str | None = None
    processor: str | None = None
    instruction_sets: list[str] = Field(default_factory=list)
    artifacts: dict[str, BaselineArtifact] = Field(min_length=1)

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline.

        Raises:
            GateError: missing, empty, damaged, or of another schema version.
        """
        return cls.read_file(path)

    def to_json(self) -> str:
        """Text in a stable order, one value a line, so that a difference between two versions can be read."""
        ordered = self.model_copy(update={"artifacts": dict(sorted(self.artifacts.items()))})
        text = json.dumps(ordered.model_dump(exclude_none=True, exclude_defaults=False), indent=2, ensure_ascii=False)
        return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"  # lists of indices on one line


def baseline_schema() -> str:
    """JSON Schema of a baseline, as `docs/baseline.schema.json` holds it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgecls baseline",
        **{key: value for key, value in Baseline.model_json_schema().items() if key != "title"},
    }
    schema["required"] = sorted({*schema["required"], "schema_version"})  # readers tell versions apart by it
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
