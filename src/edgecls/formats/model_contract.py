"""The contract inside a `.keras` archive: read and written without Keras, which leaves members that it does not know alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pydantic import ValidationError

from edgecls.errors import ModelFileError
from edgecls.records.model_contract import CONTRACT_NAME, ModelContract
from edgecls.records.record import first_fault
from edgecls.system.archive_errors import ZIP_ERRORS

_MOST_BYTES = 16 << 20  # a thousand labels take some ten thousand


def read_contract(path: Path) -> ModelContract | None:
    """The contract of a model file; None where it has none, or is no archive.

    Raises:
        ModelFileError: a contract that cannot be read.
    """
    if path.is_dir() or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if CONTRACT_NAME not in archive.namelist() or archive.getinfo(CONTRACT_NAME).file_size > _MOST_BYTES:
                return None
            text = archive.read(CONTRACT_NAME)
    except ZIP_ERRORS:
        return None  # what is wrong with it is told where models are examined
    try:
        return ModelContract.model_validate_json(text)
    except ValidationError as error:
        found = f"{path}: {CONTRACT_NAME}: {first_fault(error)}"
        raise ModelFileError("a contract as `edgecls train` writes it", found, ModelContract.remedy) from None


def add_contract(path: Path, contract: ModelContract) -> None:
    """Put a contract into a `.keras` archive that has none."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CONTRACT_NAME, contract.to_json())
