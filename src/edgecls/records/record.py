"""Record: the strict base of everything that files and messages hold, and the one way in which a record's file is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecls.errors import ArtifactError, EdgeclsError, reason_of

F = TypeVar("F", bound="FileRecord")
_LONGEST = 300  # characters of a message that quotes what a stranger wrote


class Record(BaseModel):
    """Named values; one that is not known is an error, not lost."""

    model_config = ConfigDict(extra="forbid", defer_build=True)  # built when first used: a command meets a few of all kinds


class FileRecord(Record):
    """A record that is a file of its own, with a schema version.

    Attributes:
        kind: what the file is called in messages, as `a manifest`.
        place: where such a file lies, for messages about one that is not there; the file itself where it is no part of a folder.
        versions: of the schema, ascending: those whose files mean the same to this one; it writes the last.
        remedy: what to do about a file that cannot be read.
        error: what is raised then.
    """

    kind: ClassVar[str]
    place: ClassVar[str] = ""
    versions: ClassVar[tuple[int, ...]] = (1,)
    remedy: ClassVar[str]
    error: ClassVar[type[EdgeclsError]] = ArtifactError

    schema_version: int

    @classmethod
    def read_file(cls: type[F], path: Path) -> F:
        """The record in a file.

        Raises:
            EdgeclsError: of the kind's own type: missing, empty, damaged, or of another schema version.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            expected = cls.place or cls._expected()
            raise cls.error(expected, f"{path}: {reason_of(error)}", cls.remedy) from None
        except UnicodeDecodeError as error:
            raise cls._unreadable(f"{path}: {reason_of(error)}") from None
        if not text.strip():
            raise cls._unreadable(f"{path}, which is empty")
        try:
            record = cls.model_validate_json(text)
        except ValidationError as error:
            raise cls._unreadable(f"{path}: {cls._other_version(text) or first_fault(error)}") from None
        version = record.schema_version if "schema_version" in record.model_fields_set else None
        if version not in cls.versions:
            raise cls._unreadable(f"{path}: {_as_found(version)}")
        return record

    def to_json(self) -> str:
        """The text of its file."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def _other_version(cls, text: str) -> str:
        """What to say of a file whose version is another one; empty where it is none of that."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        version = content.get("schema_version") if isinstance(content, dict) else None
        return "" if version in cls.versions else _as_found(version)

    @classmethod
    def _unreadable(cls, found: str) -> EdgeclsError:
        return cls.error(cls._expected(), found, cls.remedy)

    @classmethod
    def _expected(cls) -> str:
        return f"{cls.kind} of schema version {cls.versions[-1]}"


def first_fault(error: ValidationError) -> str:
    """Where a record is wrong first, and how."""
    fault: Any = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    given = f"{fault['input']!r}: " if where and isinstance(fault["input"], int | float | str) else ""
    return f"{where or 'the file'}: {given}{fault['msg']}"[:_LONGEST]


def _as_found(version: object) -> str:
    return "no schema_version" if version is None else f"version {version}"
