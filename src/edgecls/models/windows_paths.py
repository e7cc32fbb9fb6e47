"""`.keras` files that Keras 2.12 to 2.15 wrote on Windows: backslashes in the groups of their weights, where readers expect slashes."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

from edgecls.errors import ModelFileError
from edgecls.models.h5_trial import H5_ERRORS
from edgecls.system.archive_errors import ZIP_ERRORS
from edgecls.system.extras import require

_WEIGHTS = "model.weights.h5"


def has_windows_paths(path: Path) -> bool:
    """Whether groups of weights in a `.keras` archive are named with backslashes.

    Raises:
        ModelFileError: the names of its weights cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as stream, require("h5py").File(stream, "r") as file:
            return bool(_backslashed(file))
    except (*H5_ERRORS, *ZIP_ERRORS) as error:
        found = f"{path}, whose weights are damaged: {error}"
        raise ModelFileError("a whole .keras archive", found, "copy or download it again") from None


def write_with_slashes(source: Path, target: Path) -> Path:
    """Copy a `.keras` archive to `target`, which comes back, its groups of weights named as on every other system."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in set(old.namelist()) - {_WEIGHTS}:
            with old.open(name) as reader, new.open(name, "w", force_zip64=True) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
        weights = io.BytesIO(old.read(_WEIGHTS))
        with require("h5py").File(weights, "r+") as file:
            while names := _backslashed(file):  # anew each time: moving one changes the paths of those inside it
                file.move(names[0], names[0].replace("\\", "/"))
        new.writestr(_WEIGHTS, weights.getvalue())
    return target


def _backslashed(file: Any) -> list[str]:
    names: list[str] = []
    file.visit(lambda name: names.append(name) if "\\" in name else None)
    return sorted(names, key=len)  # an outer group before those inside it, which would make another of its name
