"""Which parts a source of images has of its own: `train`, `val` and `test` folders, or `x_train`, `x_val` and `x_test` in an archive."""

from __future__ import annotations

from pathlib import Path

from edgecls.data.digits import are_digits
from edgecls.data.source import Role
from edgecls.errors import DataError

_ROLES: dict[str, Role] = {
    "train": "training", "training": "training", "x_train": "training",
    "val": "validation", "valid": "validation", "validation": "validation", "x_val": "validation", "x_valid": "validation",
    "test": "data", "testing": "data", "x_test": "data",
}  # fmt: skip


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
        names = {folder.name.casefold() for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")}
    except OSError as error:
        raise DataError("a folder that can be read", f"{path}: {error.strerror}", "check its permissions") from None
    return frozenset(_ROLES[name] for name in names) if names and names <= _ROLES.keys() else frozenset()


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
