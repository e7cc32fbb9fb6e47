"""HDF5 files can take contents out of other files when they are read: a model of a stranger must not, so this finds it beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecls.errors import ModelFileError
from edgecls.system.extras import require


def refuse_reach(file: Any, path: Path) -> None:
    """Refuse an opened HDF5 file with links to other files, or data that lies in them.

    Raises:
        ModelFileError: it has some; the message says where.
    """
    found = next(reaches(file), None)
    if found is not None:
        raise ModelFileError(
            "a model whose weights lie in its own file", f"{path}: {found}", "save the whole model into one file"
        )


def reaches(file: Any) -> Iterator[str]:
    """Each place that leads out of an opened HDF5 file, in words."""
    h5py = require("h5py")
    pending, seen = [file], set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{group.name.rstrip('/')}/{name} is a link to the file {link.filename}"
            if not isinstance(link, h5py.HardLink):  # a soft link leads to what a hard one leads to as well, or nowhere
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address not in seen:  # groups may contain themselves
                    seen.add(address)
                    pending.append(item)
            elif isinstance(item, h5py.Dataset):
                yield from _outside(item)


def _outside(item: Any) -> Iterator[str]:
    if item.external:
        yield f"{item.name} lies in the file {item.external[0][0]}"
    if item.is_virtual:
        yield from (
            f"{item.name} lies in the file {source.file_name}" for source in item.virtual_sources() if source.file_name != "."
        )
