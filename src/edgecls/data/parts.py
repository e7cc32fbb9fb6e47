"""Which parts a source of images has of its own: `train`, `val` and `test` folders, or `x_train`, `x_val` and `x_test` in an archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecls.data.digits import are_digits
from edgecls.data.source import Role
from edgecls.errors import DataError

if TYPE_CHECKING:
    from edgecls.data.image_set import ImageSet

_ROLES: dict[str, Role] = {
    "train": "training", "training": "training", "x_train": "training",
    "val": "validation", "valid": "validation", "validation": "validation", "x_val": "validation", "x_valid": "validation",
    "test": "data", "testing": "data", "x_test": "data",
}  # fmt: skip
_SERVING: dict[Role, tuple[Role, ...]] = {
    "calibration": ("training",), "training": ("training",), "validation": ("validation",), "data": ("data", "validation"),
}  # fmt: skip
_SHOWN = 5  # names in a line
_CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what systems and archivers leave among images."""
    return name.startswith(".") or name.casefold() in _CLUTTER


def parts_of(path: Path) -> frozenset[Role]:
    """Roles that images were set apart for, `data` being the test part; empty where all are in one.

    Raises:
        DataError: it cannot be read.
    """
    if are_digits(path):
        return frozenset(("training", "data"))
    if path.is_file() and path.suffix.casefold() == ".npz":
        from edgecls.data.archives import member_names

        return frozenset(_ROLES[name] for name in member_names(path) if name in _ROLES)
    if not path.is_dir():
        return frozenset()
    try:
        names = {folder.name.casefold() for folder in path.iterdir() if folder.is_dir() and not is_clutter(folder.name)}
    except OSError as error:
        raise DataError("a folder that can be read", f"{path}: {error.strerror}", "check its permissions") from None
    return frozenset(_ROLES[name] for name in names) if names and names <= _ROLES.keys() else frozenset()


def has_images_for(path: Path, role: Role) -> bool:
    """Whether a source has images for a role: a part that serves it, or images that were set apart for none.

    Raises:
        DataError: it cannot be read.
    """
    own = parts_of(path)
    if not own or not own.isdisjoint(_SERVING[role]):
        return True
    if not path.is_file():
        return False
    from edgecls.data.archives import member_names

    return "x" in member_names(path)


def require_same_classes(training: ImageSet, part: ImageSet) -> None:
    """Refuse a part with classes that the training part lacks: their place in the alphabet would tell which class they are taken for.

    Args:
        part: opened with the class names of `training`, where it has some, as labels.

    Raises:
        DataError: it has.
    """
    if not (training.class_names and part.class_names) or part.class_names == training.class_names:
        return
    strangers = [name for name in part.class_names if name not in training.class_names]
    raise DataError(
        f"classes that the training images have too: {_shown(training.class_names)}",
        f"{_shown(strangers)} in {part.path}: {part.note}",
        "call them as there, or take them out",
    )


def array_shape(path: Path) -> tuple[int, int, int] | None:
    """Height, width and channels of the images that an archive has to train on; None of what is no archive.

    Raises:
        DataError: no images in it, or other ones than pixels from 0 to 255 of known height and width.
    """
    if not (path.is_file() and path.suffix.casefold() == ".npz"):
        return None
    from edgecls.data.archives import header_of

    shape, dtype = header_of(path, "training")
    if dtype.kind == "f":
        raise DataError(
            "pixels from 0 to 255 to train on",
            f"{dtype} in {path}",
            "save them as np.round(255 * x).astype(np.uint8) if x is 0 to 1",
        )
    if len(shape) not in (3, 4):
        raise DataError("images [N, height, width, channels]", f"{path} of shape {shape}", "save x with these axes")
    return shape[1], shape[2], shape[3] if len(shape) == 4 else 1


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
