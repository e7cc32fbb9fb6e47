"""Teachable Machine's Keras export: a folder or .zip with the model and its labels, told from others by the names of its layers."""

from __future__ import annotations

import contextlib
import re
import shutil
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgecls.errors import ModelFileError
from edgecls.models.computation import Shape
from edgecls.records.image_spec import ImageSpec
from edgecls.system.archive_errors import ZIP_ERRORS
from edgecls.system.private_folder import temporary_folder

MODEL_NAME, LABELS_NAME = "keras_model.h5", "labels.txt"
_LAYERS = (r"global_average_pooling2d_GlobalAveragePooling2D\d+", r"dense_Dense\d+")  # as TensorFlow.js names them
_SHAPE = (224, 224, 3)
_MOST_BYTES = 256 << 20  # unpacked; an export has a few MB


@dataclass(frozen=True)
class Export:
    """The files of an export; of any other model, the model alone."""

    model: Path
    labels: Path | None = None


@contextlib.contextmanager
def opened_export(path: Path) -> Iterator[Export]:
    """What there is to read at a path: an export's files, unpacked as long as the context lasts, or the path itself.

    Raises:
        ModelFileError: a damaged archive, or one far larger than an export.
    """
    if path.is_dir():
        yield _in_folder(path) if (path / MODEL_NAME).is_file() else Export(path)
    elif members := _members(path):
        with temporary_folder() as folder:
            _unpack(path, members, folder)
            yield _in_folder(folder)
    else:
        yield Export(path)


def image_spec(base: ImageSpec, names: Collection[str], shape: Shape) -> ImageSpec | None:
    """How Teachable Machine's own example prepares images, for a model with its layers; None for others.

    The Python code that it exports with each model crops and resamples with Pillow's `ImageOps.fit(image, (224, 224), LANCZOS)`
    and computes pixel / 127.5 - 1.
    """
    found = [min((name for name in names if re.fullmatch(layer, name)), default=None) for layer in _LAYERS]
    if tuple(shape) != _SHAPE or None in found:
        return None
    assumed = "Assumed -1..1, fit crop and filter lanczos where nothing else is given"
    note = f"{assumed}, as Teachable Machine's own code prepares images (its layer {found[1]}); "
    spec = base.with_choices("-1..1", "crop", "lanczos", provenance="assumed")
    return spec.model_copy(update={"note": note + "--preprocess, --fit and --filter override."})


def _in_folder(folder: Path) -> Export:
    labels = folder / LABELS_NAME
    return Export(folder / MODEL_NAME, labels if labels.is_file() else None)


def _members(path: Path) -> dict[str, str]:
    """Name in an export -> name in the archive, which may have them in one folder; empty for what is no export."""
    try:
        if not zipfile.is_zipfile(path):
            return {}
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return {}  # what is wrong with it is told where models are examined
    models = [name for name in names if PurePosixPath(name).name == MODEL_NAME and not name.startswith("__MACOSX/")]
    if len(models) != 1:
        return {}
    labels = str(PurePosixPath(models[0]).with_name(LABELS_NAME))
    return {MODEL_NAME: models[0]} | ({LABELS_NAME: labels} if labels in names else {})


def _unpack(path: Path, members: dict[str, str], folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(archive.getinfo(member).file_size for member in members.values())
            if size > _MOST_BYTES:
                raise ModelFileError(
                    "an export of Teachable Machine", f"{path} with {size >> 20} MiB", f"unpack it and give {MODEL_NAME}"
                )
            for name, member in members.items():
                with archive.open(member) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except ZIP_ERRORS as error:
        found = f"{path}, which is damaged ({error})"
        raise ModelFileError("a whole .zip", found, "copy or download it again") from None
