"""Embedding: what `edgecls embed` put into an app, by which the next call knows what it may replace."""

from __future__ import annotations

from pathlib import Path

from edgecls.records.record import FileRecord
from edgecls.system.store import PlainPath, settle

EMBEDDING_NAME = "edgecls-embed.json"


class Embedding(FileRecord):
    """`edgecls-embed.json` in the root of an app.

    Attributes:
        platform: `android`, `ios` or `web`.
        files: path below the root -> sha256; a package is one.
    """

    kind = "a list of what was embedded"
    remedy = "bring it back, or remove it and what was embedded by hand"

    schema_version: int = FileRecord.versions[-1]
    platform: str
    edgecls_version: str
    files: dict[PlainPath, str]

    @classmethod
    def read(cls, root: Path) -> Embedding | None:
        """What an earlier call put into an app; None where there was none.

        Raises:
            ArtifactError: the list is damaged, or of another schema version.
            OutputError: a change that a killed process had begun cannot be finished.
        """
        settle(root)
        path = root / EMBEDDING_NAME
        return cls.read_file(path) if path.exists() else None
