"""Checkpoint: everything a training needs to go on after a kill as if nothing had happened."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgecls.errors import OutputError, RecipeError
from edgecls.records.record import Record
from edgecls.system.store import replacing

E = TypeVar("E", bound=Record)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_checkpoint(path: Path, fingerprint: str, epochs: Sequence[Record], variables: Sequence[np.ndarray]) -> None:
    """Write the state after the last of `epochs` in one step: a kill, or a full disk, leaves the checkpoint of the epoch before.

    Its folder is made if need be, so that none is there before there is something to keep.

    Raises:
        OutputError: the place cannot be written.
    """
    record = json.dumps({"fingerprint": fingerprint, "epochs": [epoch.model_dump() for epoch in epochs]})
    arrays: dict[str, Any] = {f"v{index}": values for index, values in enumerate(variables)} | {"record": np.array(record)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        kept = f"; the checkpoint after epoch {len(epochs) - 1} is kept" if path.exists() else ""
        remedy = (
            "free some space and go on with --resume" if error.errno in _FULL else "choose a folder that can be written with -o"
        )
        raise OutputError("a place for the checkpoint", f"{path}: {error.strerror}{kept}", remedy) from None


def assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Give variables the values that a checkpoint, or an epoch that was kept, has of them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def read_checkpoint(path: Path, fingerprint: str, kind: type[E]) -> tuple[list[E], list[np.ndarray]] | None:
    """Epochs, records of a kind, and variables as they were written; None where there is no checkpoint.

    Raises:
        RecipeError: it is of another recipe, model or data.
        OutputError: it cannot be read.
    """
    if not path.exists():
        return None
    with _opened(path) as archive:
        record = _record(archive)
        variables = [archive[f"v{index}"] for index in range(len(archive.files) - 1)]
    if record["fingerprint"] != fingerprint:
        raise another_checkpoint(path)
    return [kind.model_validate(epoch) for epoch in record["epochs"]], variables


def another_checkpoint(path: Path) -> RecipeError:
    """What is wrong with a checkpoint of another recipe, model or data."""
    return RecipeError(
        "the recipe, model and data that the checkpoint was made with",
        f"others than those of {path}",
        "give the same again, or start anew without --resume",
    )


def is_of(path: Path, fingerprint: str) -> bool:
    """Whether a checkpoint is of this recipe, model and data; its variables are not read.

    Raises:
        OutputError: it cannot be read.
    """
    with _opened(path) as archive:
        return _record(archive)["fingerprint"] == fingerprint


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise OutputError("a readable checkpoint", f"{path}: {error}", "remove it, and the training begins anew") from None


def _record(archive: Any) -> dict[str, Any]:
    return json.loads(str(archive["record"]))
