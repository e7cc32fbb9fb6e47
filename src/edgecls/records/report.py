"""Report: all measurements of one run, in one environment, with the raw samples.

`results.json` holds one Report. `docs/results.schema.json` is generated from these models (`make schema`); whatever else writes results,
as the samples on phones do, follows it. Only what every writer knows is required.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from edgecls.records.amounts import Bytes
from edgecls.records.image_spec import ImageSpec
from edgecls.records.instant import Instant
from edgecls.records.measurement import Measurement
from edgecls.records.pick import Pick
from edgecls.records.record import FileRecord, Record


class Environment(Record):
    """Where it was measured. A browser knows little more than the platform: texts that are not known are empty, numbers 0.

    Attributes:
        platform: the system and its version, or the browser and the system.
        instruction_sets: those that change what int8 files answer or how fast: `avx2`, `avx512`, `vnni`, `amx`; `neon`, `dotprod`, `i8mm`,
            `sve`. Empty where they are not known.
        device: what people call it, as `Pixel 8`, in a browser with that, as `Pixel 8, Chromium 156`; empty for a computer.
        python: empty where none is involved, as on a phone.
    """

    platform: str
    machine: str = ""
    processor: str = ""
    instruction_sets: list[str] = Field(default_factory=list)
    cores: int = 0
    memory_bytes: Bytes = 0
    device: str = ""
    python: str = ""
    packages: dict[str, str] = Field(default_factory=dict)


class DataUsed(Record):
    """The images accuracy was measured on."""

    path: str
    images: int
    labelled: bool
    note: str = ""


class Report(FileRecord):
    """All measurements of one run: `results.json`.

    Attributes:
        created: when; a time without a zone, as some phones write it, is taken as one in UTC.
        labels: name of each class of the model, in the order of its scores.
        picks: which artifact of each format to ship.
    """

    kind = "results"
    versions = (1, 2)  # version 1 has fewer fields and no other meaning of any
    remedy = "measure again with `edgecls bench`, or name another file"

    schema_version: int = versions[-1]
    created: Instant
    edgecls_version: str
    source_sha256: str | None = None
    image_spec: ImageSpec | None = None
    labels: list[str] = Field(default_factory=list)
    environment: Environment
    data: DataUsed | None = None
    notes: list[str] = Field(default_factory=list)
    measurements: list[Measurement]
    picks: list[Pick] = Field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read results of this version or an older one that means the same.

        Raises:
            ArtifactError: missing, damaged, or of another schema version.
        """
        return cls.read_file(path)


def results_schema() -> str:
    """JSON Schema of `results.json`, as `docs/results.schema.json` holds it."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: object) -> bool:  # titles made of the names themselves tell nothing
            return False

    found = Report.model_json_schema(schema_generator=Untitled)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "edgecls results"}
    schema["required"] = sorted({*schema["required"], "schema_version"})  # by which readers tell versions apart
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
